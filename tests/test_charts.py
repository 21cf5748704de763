from __future__ import annotations

import math
import re
from collections.abc import Sequence
from xml.etree import ElementTree

import pytest

from pytest_loadperf.report.charts import Chart, sparkline, swatch
from pytest_loadperf.report.layers import Band, Bars, Dot, Dots, Hover, Layer, Line, Rule, Span
from pytest_loadperf.report.scale import Axis, Point

NAN = math.nan
ALLOWED = {
    *("role", "aria-label", "class", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "d", "width", "height"),
    *("fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "stroke-linecap"),
    *("vector-effect", "viewBox", "preserveAspectRatio", "overflow", "paint-order", "pointer-events"),
    *("text-anchor", "font-family", "font-size"),
}
X, Y = Axis(0, 10, (0, 5, 10)), Axis(0, 100, (0, 50, 100))


def chart(*layers: Layer, hovers: Sequence[Hover] = (), left: float = 6, right: float = 1, top: float = 14) -> str:
    return Chart(
        title="Latency",
        description="p95 by second",
        x=X,
        y=Y,
        layers=layers,
        show_x="{:g} s".format,
        show_y="{:g} ms".format,
        height=100,
        top=top,
        left=left,
        right=right,
        hovers=hovers,
    ).svg()


def path_of(svg: str) -> str:
    """The path data of the only layer."""
    found: list[str] = re.findall(r'<path d="([^"]*)"', svg)
    assert len(found) == 1
    return found[0]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("text")]


class TestLine:
    def test_goes_through_its_points(self) -> None:
        assert path_of(chart(Line("p95", [(0, 0), (5, 50), (10, 100)]))) == "M0 100L500 50L1000 0"

    def test_is_broken_where_a_value_is_missing(self) -> None:
        points = [(0, 0), (1, 10), (2, NAN), (3, 30), (4, 40)]
        assert path_of(chart(Line("p95", points))) == "M0 100L100 90M300 70L400 60"

    def test_a_point_alone_becomes_a_dot(self) -> None:
        assert path_of(chart(Line("p95", [(5, 50)]))) == "M500 50h0"

    @pytest.mark.parametrize("points", [[], [(1, NAN), (2, NAN)]])
    def test_without_values_nothing_is_drawn(self, points: Sequence[Point]) -> None:
        assert "<path" not in chart(Line("p95", points))

    def test_values_outside_the_axis_stay_inside_the_plot(self) -> None:
        assert path_of(chart(Line("p95", [(0, -50), (10, 1e12)]))) == "M0 100L1000 0"

    def test_is_as_wide_on_the_screen_however_far_the_chart_is_stretched(self) -> None:
        assert 'vector-effect="non-scaling-stroke"' in chart(Line("p95", [(0, 0), (1, 1)]))

    def test_a_long_series_is_thinned(self) -> None:
        points = [(x / 1000, (x * 37) % 100) for x in range(10_000)]
        assert path_of(chart(Line("p95", points))).count("L") < 1500


class TestBand:
    def test_encloses_what_is_between_low_and_high(self) -> None:
        assert path_of(chart(Band("range", [(0, 10, 20), (10, 30, 40)]))) == "M0 80L1000 60L1000 70L0 90z"

    def test_is_broken_where_a_value_is_missing(self) -> None:
        points = [(0, 1, 2), (1, 1, 2), (2, NAN, 2), (3, 1, 2), (4, 1, 2)]
        assert path_of(chart(Band("range", points))).count("z") == 2


class TestBars:
    def test_stand_on_the_foot_of_the_chart(self) -> None:
        assert path_of(chart(Bars("failures", [(0, 0), (1, 50)]))) == "M100 100v-50h80v50z"

    def test_a_single_failure_among_thousands_is_seen(self) -> None:
        assert path_of(chart(Bars("failures", [(0, 0.001)]))) == "M0 100v-1.5h80v1.5z"

    def test_nothing_is_drawn_of_nothing(self) -> None:
        assert "<path" not in chart(Bars("failures", [(0, 0), (1, NAN)]))


class TestDots:
    def test_stand_at_percentages_so_that_they_stay_round(self) -> None:
        svg = chart(Dots([Dot(5, 50, "run 5")]), left=10, right=10, top=20)
        assert '<circle cx="50%" cy="70" r="3"' in svg
        assert "<title>run 5</title>" in svg

    def test_what_has_no_place_is_left_out(self) -> None:
        assert "<circle" not in chart(Dots([Dot(1, NAN), Dot(NAN, 1)]))

    def test_differ_by_more_than_their_colour(self) -> None:
        filled, hollow, diamond = (
            Dot(0, 0).svg("0", 0),
            Dot(0, 0, hollow=True).svg("0", 0),
            Dot(0, 0, shape="diamond").svg("0", 0),
        )
        assert "stroke" not in filled
        assert 'fill="#ffffff" stroke="#0072b2"' in hollow
        assert "<path" in diamond


class TestRulesAndSpans:
    def test_a_rule_crosses_the_plot_and_is_named(self) -> None:
        svg = chart(Rule("limit 80 ms", 80))
        assert path_of(svg) == "M0 20H1000"
        assert "limit 80 ms" in texts(svg)

    def test_an_unmeasured_stage_is_shaded_a_measured_one_begins_with_a_line(self) -> None:
        svg = chart(Span("warm-up", 0, 4, shaded=True), Span("rush", 4, 10))
        assert '<rect x="0" width="400" height="100" fill="#808080"' in svg
        assert path_of(svg) == "M400 0V100"
        assert texts(svg)[-2:] == ["warm-up", "rush"]

    def test_a_long_stage_name_is_cut_and_whole_in_the_title(self) -> None:
        svg = chart(Span("s" * 10_000, 0, 10))
        assert len(texts(svg)[-1]) < 200
        assert f"<title>{'s' * 10_000}</title>" in svg


class TestChart:
    def test_labels_its_ticks(self) -> None:
        assert texts(chart()) == ["0 ms", "50 ms", "100 ms", "0 s", "5 s", "10 s"]

    def test_says_what_it_shows_to_those_who_do_not_see_it(self) -> None:
        root = ElementTree.fromstring(chart())
        assert root.get("role") == "img"
        assert root.get("aria-label") == "Latency. p95 by second"

    def test_has_a_ground_of_its_own_so_that_it_reads_on_dark_pages(self) -> None:
        first = next(iter(ElementTree.fromstring(chart())))
        assert (first.tag, first.get("fill"), first.get("width")) == ("rect", "#ffffff", "100%")

    def test_shows_a_title_where_one_points(self) -> None:
        assert '<rect x="100" width="100" height="100"><title>1 s\np95 5 ms</title></rect>' in chart(
            hovers=[Hover(1, 2, "1 s\np95 5 ms")]
        )

    def test_uses_presentation_attributes_only(self) -> None:
        svg = chart(
            Line("p95", [(0, 1), (1, 2)], dash="2 3"),
            Band("range", [(0, 1, 2), (1, 1, 2)]),
            Bars("failures", [(0, 1)]),
            Rule("limit", 5),
            Span("rush", 1, 2, shaded=True),
            Dots([Dot(1, 1, "one"), Dot(2, 2, shape="diamond", hollow=True)]),
            hovers=[Hover(0, 1, "here")],
        )
        for element in ElementTree.fromstring(svg).iter():
            assert element.tag in {"svg", "g", "rect", "line", "path", "text", "circle", "title"}
            assert set(element.attrib) <= ALLOWED

    @pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"onload="x', "a & b", "\u202egnp.exe", "\x00"])
    def test_shows_hostile_text_as_text(self, hostile: str) -> None:
        svg = Chart(
            hostile,
            hostile,
            Axis(0, 1, (0,)),
            Axis(0, 1, (0,)),
            [Span(hostile, 0, 1), Rule(hostile, 1), Dots([Dot(0, 0, hostile)])],
            lambda _: hostile,
            lambda _: hostile,
            hovers=[Hover(0, 1, hostile)],
        ).svg()
        shown = hostile.replace("\u202e", "\\u202e").replace("\x00", "\\u0000")
        root = ElementTree.fromstring(svg)
        assert root.get("aria-label") == f"{shown}. {shown}"
        assert set(texts(svg)) == {shown}
        assert {title.text for title in root.iter("title")} == {shown}


class TestSparkline:
    def test_rises_from_zero_to_the_largest_value_and_marks_the_last(self) -> None:
        svg = sparkline([0, 5, 10], "p95", width=108, height=28)
        assert path_of(svg) == "M4 24L54 14L104 4"
        assert '<circle cx="104" cy="4" r="2.5"' in svg

    @pytest.mark.parametrize("values", [[], [1.0], [NAN, 3.0], [NAN, NAN]])
    def test_fewer_than_two_numbers_are_no_line(self, values: list[float]) -> None:
        assert sparkline(values, "p95") == ""

    def test_marks_the_last_number_where_the_last_value_is_missing(self) -> None:
        assert '<circle cx="54" cy="4"' in sparkline([5, 10, NAN], "p95", width=108, height=28)

    def test_zeros_lie_on_the_ground(self) -> None:
        assert path_of(sparkline([0, 0], "failures", width=108, height=28)) == "M4 24L104 24"


@pytest.mark.parametrize(
    "drawn",
    [Line("p95", [], dash="2 4"), Band("range", []), Bars("failures", []), Rule("limit", 1), Dot(0, 0, hollow=True)],
)
def test_a_swatch_is_a_small_drawing_that_screen_readers_pass_over(drawn: Line | Band | Bars | Rule | Dot) -> None:
    root = ElementTree.fromstring(swatch(drawn))
    assert root.get("aria-hidden") == "true"
    assert len(list(root)) == 2
