"""The control: a small service of our own that never changes, loaded for a moment before a load and after it.

What slows the machine slows this as well, so that latencies of different days can be compared over its.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from pytest_loadperf.errors import LoadperfError, ServiceError
from pytest_loadperf.model import Summary
from pytest_loadperf.plan import Plan, Reference, Stage
from pytest_loadperf.report.progress import Progress
from pytest_loadperf.service.process import in_process
from pytest_loadperf.service.running import RunningService, asleep
from pytest_loadperf.service.spec import ProcessSpec
from pytest_loadperf.trial import TrialRun

_HERE = Path(__file__).parent
_COMMAND = [sys.executable, "-I", str(_HERE / "service" / "control_service.py"), "{port}"]
_USER = Reference(str(_HERE / "generator" / "control_user.py"), "pytest_loadperf.generator.control_user", "ControlUser")
_USERS = 2


@dataclass(frozen=True)
class Control:
    """What is loaded for so long."""

    lasts_s: float
    progress: Progress

    def __str__(self) -> str:
        """What must be the same for two of its numbers to be compared."""
        return f"{self.lasts_s:g} s, Python {'.'.join(platform.python_version_tuple()[:2])}"

    def p95_ms(self, title: str, service: RunningService) -> float:
        """Its latency just now, while the service sleeps."""
        with asleep(service), self.progress.load(title) as watcher:
            try:
                with in_process(ProcessSpec(command=_COMMAND, cwd=_HERE), keep=False, say=self.progress.say) as control:
                    stage = Stage(users=_USERS, duration=f"{self.lasts_s:.3f}s", name="control")
                    plan = Plan(users=(_USER,), stages=(stage,), urls=control.urls, sys_path=tuple(sys.path))
                    trial = TrialRun(plan, control, watcher, lambda _at_s, _collector: None).run()
                summary = trial.stages[0].summary
                if summary.failures:
                    raise ServiceError(f"{summary.failures} of {summary.requests} requests failed: {_worst(summary)}")
            except LoadperfError as error:
                error.args = (f"the control, which --loadperf-control asks for: {error}",)
                raise
        return summary.percentile_ms(95)


def _worst(summary: Summary) -> str:
    return max(summary.errors, key=lambda text: summary.errors[text])
