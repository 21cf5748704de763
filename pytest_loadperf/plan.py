"""What is asked for: the stages of a load, and the plan that the generator is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.quantity import duration_s


@dataclass(frozen=True)
class Stage:
    """One step of load: this many users for this long.

    `duration` is a string with its unit ('30s', '1m30s') and includes the ramp; `spawn_rate` is users started (or
    stopped) a second, all at once unless given; a stage with `measured=False` is run and drawn, but not judged.
    """

    name: str | None = None
    users: int | None = field(default=None, kw_only=True)
    spawn_rate: float | None = field(default=None, kw_only=True)
    duration: str | None = field(default=None, kw_only=True)
    measured: bool = field(default=True, kw_only=True)
    rate: str | None = field(default=None, kw_only=True)
    max_users: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise UsageFault(f"{self._label}: " + "; ".join(faults))

    @property
    def _label(self) -> str:
        return f"Stage({self.name!r})" if self.name else "Stage"

    def _faults(self) -> Iterator[str]:
        if self.rate is not None or self.max_users is not None:
            yield "open-model stages (rate=) come with the next release; give users= instead"
        elif self.users is None:
            yield "it has neither users nor rate; give users=50, for instance"
        elif not isinstance(self.users, int) or isinstance(self.users, bool) or self.users < 1:
            yield f"users is {self.users!r}; expected a whole number from 1"
        if self.duration is None:
            yield "it has no duration; give duration='30s', for instance"
            return
        try:
            duration_s(self.duration, "duration")
        except UsageFault as fault:
            yield str(fault)
        rate = self.spawn_rate
        if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float) or rate <= 0):
            yield f"spawn_rate is {rate!r}; expected users a second, more than zero"

    def ramp_s(self, users_before: int) -> float:
        """How long it takes to get to its users from those of the stage before, in seconds."""
        return abs((self.users or 0) - users_before) / self.spawn_rate if self.spawn_rate else 0.0

    @property
    def duration_s(self) -> float:
        """How long the stage lasts, in seconds, its ramp included."""
        return duration_s(self.duration, "duration")

    def scaled(self, factor: float) -> Stage:
        """The stage made `factor` times as long and as large, for a smoke run; at least one user for one second."""
        shorter = max(1.0, self.duration_s * factor)
        fewer = max(1, round((self.users or 1) * factor))
        return replace(self, users=fewer, duration=f"{shorter:.3f}s")


@dataclass(frozen=True)
class Reference:
    """Where the generator finds a class: by import where that gives the same file, else from the file itself."""

    file: str
    module: str
    name: str


@dataclass(frozen=True)
class Plan:
    """All that one run of the generator needs to know."""

    users: tuple[Reference, ...] = ()
    locustfile: str | None = None  # instead of `users`: a file whose users (or the one named) are taken
    locustfile_user: str | None = None
    stages: tuple[Stage, ...] = ()
    shape: Reference | None = None  # instead of `stages`: a Locust LoadTestShape
    urls: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    sys_path: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()  # what no name or text may show
    scale: float = 1.0  # of a shape: so much of its users, and of its time
    answer_wait_s: float = 10.0  # how long after the last stage an answer is still waited for
