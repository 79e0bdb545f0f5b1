"""Charts: valid SVG for any figures, bounded, peaks kept, axes round and in UTC."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.server.page.bars import MAX_BARS
from penstock.server.page.chart import (
    Event,
    Mark,
    Series,
    Threshold,
    bar_chart,
    histogram_chart,
    line_chart,
    sparkline,
    timeline,
)
from penstock.server.page.lines import MAX_POINTS
from penstock.server.page.scale import extent, number, thin, tick_labels, ticks, time_ticks
from penstock.server.page.timeline import MAX_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

SVG = "{http://www.w3.org/2000/svg}"
NOON = 1_930_000_000  # 2031-02-27 23:06:40 UTC
anything = st.floats(allow_nan=True, allow_infinity=True) | st.none()
times = st.floats(0, 4e9)


def parsed(chart: str) -> ET.Element:
    """The SVG of a figure; XML is stricter than HTML."""
    start, end = chart.index("<svg"), chart.rindex("</svg>") + 6
    return ET.fromstring(chart[start:end])


def numbers(picture: ET.Element) -> Iterator[float]:
    """Every coordinate in a picture."""
    for node in picture.iter():
        for name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height"):
            if name in node.attrib:
                yield float(node.attrib[name])
        for piece in node.attrib.get("d", "").translate(str.maketrans("MLHVZ", "     ")).split():
            yield float(piece)


def inside(picture: ET.Element) -> bool:
    return all(-60 <= one <= 1200 for one in numbers(picture))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(times, anything, anything, anything), max_size=30), anything, st.booleans()
)
def test_lines_of_any_figures(points: list[tuple[float, ...]], level: float, step: bool) -> None:
    points.sort(key=lambda one: one[0])
    x, y, low, high = ([one[place] for one in points] for place in range(4))
    chart = line_chart(
        "t", [Series("s", x, y, low, high, step)],
        thresholds=[Threshold(level)] if level is not None else [], marks=[Mark(NOON, "m")],
    )  # fmt: skip
    assert inside(parsed(chart))


@settings(max_examples=40)
@given(st.lists(anything, max_size=30))
@example([5e-324])
@example([1e-308, -1e-308])
def test_other_charts_of_any_figures(values: list[float | None]) -> None:
    assert inside(parsed(sparkline(values, threshold=0.1)))
    names = [f"f{place}" for place in range(len(values))]
    positive = [abs(one) if one is not None else None for one in values]
    assert inside(parsed(bar_chart("t", names, {"a": positive, "b": positive[:3]})))
    known = sorted({one for one in values if one is not None and not math.isnan(one)})
    counts = [float(place) for place in range(max(0, len(known) - 1))]
    if len(known) > 1 and known[-1] - known[0] < 1e300:
        assert inside(parsed(histogram_chart("t", known, counts, counts[::-1])))


def test_a_line_breaks_where_figures_are_missing() -> None:
    chart = line_chart("t", [Series("s", range(7), [1, 2, None, 4, 5, math.nan, 7])], time=False)
    kinds = [node.attrib.get("class") for node in parsed(chart).iter()]
    assert kinds.count("line c0") == 2
    assert kinds.count("dot c0") == 1


def test_many_points_are_thinned_and_no_peak_is_lost() -> None:
    values: list[float | None] = [1.0] * 100_000
    values[54_321] = 99.0
    values[7] = -99.0
    values[60_000] = None
    kept = thin(values, MAX_POINTS)
    assert len(kept) <= MAX_POINTS + 2
    assert {0, 7, 54_321, 60_000, 99_999} <= set(kept)
    assert kept == sorted(kept)
    chart = line_chart("t", [Series("s", range(len(values)), values)])
    assert len(chart) < 20_000


def test_too_many_of_anything_is_bounded_and_said() -> None:
    names = [f"f{place}" for place in range(500)]
    bars = bar_chart("PSI", names, {"now": [1.0] * 500})
    assert f"the first {MAX_BARS} of 500" in bars
    assert bars.count("<rect") == MAX_BARS
    events = timeline("Phases", [Event(NOON + n, f"e{n}") for n in range(500)])
    assert f"the last {MAX_EVENTS} of 500" in events
    assert "e499" in events
    assert "e459<" not in events
    lines = line_chart("Lines", [Series(name, [0, 1], [1, 2]) for name in names])
    assert "the first 12 of 500" in lines


def test_a_chart_says_in_words_what_it_shows() -> None:
    chart = parsed(line_chart("PSI", [Series("age", [NOON, NOON + 60], [0.1, 0.3])]))
    assert chart.attrib["role"] == "img"
    assert chart.findtext(f"{SVG}title") == "PSI"
    assert chart.findtext(f"{SVG}desc") == "age: 0.1 to 0.3, last 0.3"
    assert "PSI" in chart.attrib["aria-label"]


def test_without_figures_a_chart_says_so() -> None:
    assert "no data yet" in line_chart("t", [Series("s", [], [])])
    assert "no data yet" in sparkline([])


def test_a_step_holds_until_the_next() -> None:
    chart = line_chart("t", [Series("s", [0, 10, 20], [1, 5, 5], step=True)], time=False)
    path = next(node for node in parsed(chart).iter() if node.attrib.get("class") == "line c0")
    assert "L" not in path.attrib["d"]
    assert "H" in path.attrib["d"]


def test_areas_of_a_histogram_are_shares() -> None:
    """A bin twice as wide with twice the rows is as high."""
    chart = parsed(histogram_chart("t", [0, 1, 3], [10, 20], [10, 20], width=720))
    path = next(n.attrib["d"] for n in chart.iter() if n.attrib.get("class") == "area muted")
    tops = [piece.partition("H")[0] for piece in path.split("V")[1:-1]]
    assert tops[0] == tops[1]


def test_a_threshold_is_always_on_the_axis() -> None:
    chart = line_chart("t", [Series("s", [0, 1], [1, 2])], thresholds=[Threshold(50, "limit")])
    levels = [node for node in parsed(chart).iter() if node.attrib.get("class") == "level warning"]
    assert len(levels) == 1
    assert 30 <= float(levels[0].attrib["y1"]) <= 190


@given(st.floats(-1e12, 1e12), st.floats(1e-6, 1e12), st.integers(2, 10))
def test_ticks_are_round_and_cover(low: float, width: float, count: int) -> None:
    low, high = extent([low, low + width])
    marks = ticks(low, high, count)
    step = marks[1] - marks[0]
    assert marks[0] <= low + step * 1e-6
    assert marks[-1] >= high - step * 1e-6
    assert 2 <= len(marks) <= count + 3
    assert len(tick_labels(marks)) == len(marks)


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (6 * 3600, ["28 Feb 00:00", "01:00", "02:00"]),
        (30, ["27 Feb 23:06:40", "23:06:45"]),
        (20 * 86400, ["6 Mar", "13 Mar"]),
    ],
)
def test_times_are_round_in_utc(seconds: int, labels: list[str]) -> None:
    found = [label for _, label in time_ticks(NOON, NOON + seconds)]
    assert found[: len(labels)] == labels
    assert len(found) <= 9


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"), (math.nan, "\N{EN DASH}"), (0.0, "0"), (0.12345, "0.1235"),
        (1234, "1,234"), (12_345.6, "12,346"), (1_234_567, "1.235M"), (-3.5, "\N{MINUS SIGN}3.5"),
        (1e-9, "1e-09"), (2.5e9, "2.5G"),
    ],
)  # fmt: skip
def test_figures_for_people(value: float | None, text: str) -> None:
    assert number(value) == text


def test_labels_of_an_axis_have_the_same_decimals() -> None:
    assert tick_labels([0, 0.25, 0.5]) == ["0.00", "0.25", "0.50"]
    assert tick_labels([0, 20, 40], "%") == ["0%", "20%", "40%"]
