"""The page of a model's performance by its labels. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.server.page.chart import Series, line_chart
from penstock.server.page.page import Page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.server.page.page import Section, Value


def performance_page(found: Mapping[str, Any]) -> Page:
    """The page.

    Args:
        found: As ``GET …/performance`` gives it.
    """
    page = Page(f"{found['model']}: performance", "by the labels of the last seven days")
    section = page.section("Versions")
    rows = [row for one in found["versions"] for row in _rows(one)]
    if not rows:
        section.text("No prediction of this time is known. Labels are handed over like this:")
        section.typed("penstock feedback labels.csv")
        return page
    section.table(
        ["version", "arm", "predictions", "labels", "coverage, %", "figure", "value", "from", "to"],
        rows,
        "values with their 95 % intervals",
    )
    _windows(page.section("Over time"), found["versions"])
    _delays(page.section("Delay of labels"), found["versions"])
    return page


def _windows(section: Section, versions: Sequence[Mapping[str, Any]]) -> None:
    """The main figure of each window with its interval, and how many predictions have labels."""
    figures, coverage = [], []
    for one in versions:
        windows = one["windows"]
        if not windows:
            continue
        times = [float(window["start"]) for window in windows]
        told = [window["figure"] or {} for window in windows]
        values, low, high = ([each.get(key) for each in told] for key in ("value", "low", "high"))
        figures.append(Series(_name(one), times, values, low, high))
        shares = [
            100 * window["labels"] / window["predictions"] if window["predictions"] else None
            for window in windows
        ]
        coverage.append(Series(_name(one), times, shares))
    if not figures:
        section.text("No window has a prediction or a label.")
        return
    section.add(
        line_chart("Accuracy, or mean absolute error of numbers, with 95 % intervals", figures),
        line_chart("Predictions with a label", coverage, unit="%", zero=True, height=160),
    )


def _delays(section: Section, versions: Sequence[Mapping[str, Any]]) -> None:
    """How long after its prediction a label came."""
    rows = [
        [_name(one), quantile.removeprefix("p") + " %", seconds / 60]
        for one in versions
        for quantile, seconds in one["delay_seconds"].items()
    ]
    if not rows:
        section.text("No label has come.")
        return
    section.table(["version", "of the labels came within", "minutes"], rows)


def _name(one: Mapping[str, Any]) -> str:
    return f"version {one['version']}" + (f", {one['arm']}" if one["arm"] else "")


def _rows(one: Mapping[str, Any]) -> list[list[Value]]:
    coverage = None if one["coverage"] is None else 100 * one["coverage"]
    first: list[Value] = [
        one["version"], one["arm"], one["predictions"], one["labels"], coverage,
    ]  # fmt: skip
    figures = {name: figure for name, figure in one["figures"].items() if figure is not None}
    if not figures:
        return [[*first, "", None, None, None]]
    return [
        [*first, name, figure["value"], figure["low"], figure["high"]]
        for name, figure in figures.items()
    ]
