"""How a process of the generator and its machine fare, read from the real system."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from pytest_loadperf.generator import pulse
from pytest_loadperf.generator.pulse import PulseMeter


def burn(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def test_a_process_at_work_uses_its_core_or_waits_for_one() -> None:
    meter = PulseMeter()
    burn(0.5)
    taken = meter.take(0.5, 0.02, 3)
    assert taken.lasted_s == pytest.approx(0.5, abs=0.1)
    assert (taken.lag_ms, taken.users) == (20, 3)
    assert taken.cpu_percent + (0 if math.isnan(taken.waited_percent) else taken.waited_percent) > 80
    assert taken.busy_percent > 0.5 * taken.cpu_percent


def test_a_process_at_rest_uses_none() -> None:
    meter = PulseMeter()
    burn(0.2)
    meter.take(0.2, 0.0, 0)
    time.sleep(0.5)
    assert meter.take(0.7, 0.0, 0).cpu_percent < 20


def test_what_a_system_does_not_say_is_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "_PRESSURE", Path("/nowhere"))
    monkeypatch.setattr(pulse, "_SCHEDULED", Path("/nowhere"))
    meter = PulseMeter()
    burn(0.1)
    taken = meter.take(0.1, 0.0, 0)
    assert math.isnan(taken.stalled_percent)
    assert math.isnan(taken.waited_percent)
    assert taken.cpu_percent > 0
