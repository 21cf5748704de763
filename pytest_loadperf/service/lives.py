"""Whether containers live, and still without a restart since they were ready."""

from __future__ import annotations

import time

from docker.errors import NotFound
from docker.models.containers import Container

from pytest_loadperf.errors import ServiceError
from pytest_loadperf.service.engine import in_words

_BACK_S = 2.0  # one that is restarted is down for half a second, longer on a busy machine
_LOOK_EVERY_S = 0.1


class Lives:
    """What is known of containers from the moment on in which they were ready."""

    def __init__(self) -> None:
        self._restarts: dict[str, int] = {}  # by id: those that the container's own policy made
        self._started: dict[str, str] = {}  # when, by the engine's clock

    def know(self, container: Container) -> None:
        """It is ready: from now on a restart is its end, too. Before, a policy may bring it through."""
        known = container.id or ""
        self._restarts[known] = container.attrs.get("RestartCount", 0)
        self._started[known] = container.attrs["State"]["StartedAt"]

    def forget(self) -> None:
        """They may end."""
        self._restarts, self._started = {}, {}

    def end_of(self, container: Container) -> str | None:
        """How it has ended, as the end of a sentence; ServiceError when it is not there any more."""
        _reload(container)
        state = container.attrs["State"]
        restarts = container.attrs.get("RestartCount", 0)
        if restarts > self._restarts.get(container.id or "", restarts):
            return f"was restarted after it ended with exit code {state['ExitCode']}"
        if state["Running"] or state["Restarting"]:
            if not self._was_restarted(container):
                return None
            return "was restarted while it was in use, not by this run; look for what else uses this engine"
        if state["OOMKilled"]:
            limit = container.attrs["HostConfig"]["Memory"]
            allowed = f"its limit of {limit / 2**20:.0f} MiB" if limit else "what the machine had left"
            return f"ended with exit code {state['ExitCode']}: OOMKilled, it needed more memory than {allowed}"
        if self._comes_back(container):
            return self.end_of(container)
        said = f" ({state['Error']})" if state["Error"] else ""
        return f"ended with exit code {state['ExitCode']}{said}"

    def _was_restarted(self, container: Container) -> bool:
        """By whomever: the engine counts only what a policy does."""
        started = container.attrs["State"]["StartedAt"]
        return bool(started != self._started.get(container.id or "", started))

    def _comes_back(self, container: Container) -> bool:
        """Whether one that was ready is being restarted: in between it looks as if it had ended."""
        until = time.monotonic() + _BACK_S
        while container.id in self._started and time.monotonic() < until:
            time.sleep(_LOOK_EVERY_S)
            _reload(container)
            if self._was_restarted(container):
                return True
        return False


def _reload(container: Container) -> None:
    with in_words(f"looking at the container {container.name}"):
        try:
            container.reload()
        except NotFound:
            raise ServiceError(f"the container {container.name} was removed while it was in use") from None
