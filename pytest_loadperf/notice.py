"""What a user has to read, whatever else is not shown."""

from __future__ import annotations


class Notice(str):
    """A line that is told under -q as well: of what stays on the machine, or was removed from it."""

    __slots__ = ()
