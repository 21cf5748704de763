from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
import records

from pytest_loadperf.records import LoadRecord
from pytest_loadperf.report.html import render
from pytest_loadperf.report.variants import Variants, variants
from pytest_loadperf.result import LoadResult


def made(name: str, slow: float = 1.0, trials: int = 1) -> LoadRecord:
    return records.load(name, *(records.trial(seed=number, slow=slow) for number in range(trials)))


def found(*loads: LoadRecord) -> list[Variants]:
    return variants([(f"load-{number}", LoadResult.of(load)) for number, load in enumerate(loads)])


def test_loads_that_differ_in_a_parameter_stand_together_by_the_first_one() -> None:
    names = ["upload[flask-url]", "rush", "upload[aiohttp-url]", "other[1]", "upload[flask-base64]"]
    (upload,) = found(*map(made, names))
    assert upload.name == "tests/test_search_perf.py::upload"
    assert [[variant.name for variant in group] for group in upload.groups] == [
        ["flask-url", "flask-base64"],
        ["aiohttp-url"],
    ]


def test_loads_of_a_parametrised_test_are_variants_as_well() -> None:
    names = ["test_it[flask]::rush", "test_it[aiohttp]::rush", "rush[a[0]] #2", "rush[b] #2", "rush[b]"]
    assert [(found.name.partition("::")[2], [each.name for each in found.all]) for found in found_of(*names)] == [
        ("test_it::rush", ["flask", "aiohttp"]),
        ("rush #2", ["a[0]", "b"]),
    ]


def found_of(*names: str) -> list[Variants]:
    return found(*map(made, names))


def test_bars_are_shares_of_the_slowest_and_of_the_fastest() -> None:
    (both,) = found(made("upload[a]"), made("upload[b]", slow=2.0))
    wide = [float(re.findall(r'<rect width="([\d.]+)"', variant.p95_bar)[0]) for variant in both.all]
    slow, slower = (variant.result.p95_ms for variant in both.all)
    assert wide == [pytest.approx(120 * slow / slower, abs=0.1), 120]
    assert 'width="120" height="12" class="ink-green"' in max(both.all, key=lambda each: each.result.rps).rps_bar


def test_the_cost_of_a_request_is_the_cpu_it_took() -> None:
    (both,) = found(made("upload[a]"), made("upload[b]"))
    result = both.all[0].result
    assert both.all[0].cpu_ms == pytest.approx(result.service.cpu_percent / 100 / result.rps * 1000)


def test_the_spread_is_that_of_the_trials() -> None:
    (both,) = found(made("upload[a]", trials=3), made("upload[b]"))
    assert 0 < both.all[0].spread < 0.5
    assert math.isnan(both.all[1].spread)


def test_a_variant_without_requests_has_no_bars() -> None:
    silent = replace(made("upload[b]"), trials=(replace(records.trial(), stages=()),))
    (both,) = found(made("upload[a]"), silent)
    assert (both.all[1].p95_bar, both.all[1].rps_bar) == ("", "")


def test_the_report_puts_them_side_by_side_before_the_loads() -> None:
    loads = [made("upload[flask-url]", trials=2), made("upload[aiohttp-url]", trials=2)]
    page = render(records.run(0, loads, []), [])
    assert "2 variants of <bdi>upload</bdi>" in page
    assert "Trials differ by" in page
    assert page.index('id="variants-1"') < page.index('id="load-1"')
    assert "variants of" not in render(records.run(0, [made("upload[flask-url]")], []), [])
