"""The page of a model's performance by its labels. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from penstock.server.page.chart import Series, line_chart
from penstock.server.page.markup import joined, link
from penstock.server.page.page import Page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.server.page.page import Section, Value

    from .visit import Visit

#: Headings of a figure and its interval.
_FIGURE: Final = ("figure", "value", "from", "to", "for errors up to")
_INTERVALS: Final = (
    "values with their 95 % intervals; no sample shows errors that are rarer than its rows, so an "
    "interval with a limit holds only if no error is larger"
)


def performance_page(found: Mapping[str, Any], visit: Visit, by: str = "") -> Page:
    """The page.

    Args:
        found: As ``GET …/performance`` gives it.
        visit: Visit that the page is for.
        by: Field of the segments whose figures it has.
    """
    page = Page(f"{found['model']}: performance", "by the labels of the last seven days")
    section = page.section("Versions")
    rows = [row for one in found["versions"] for row in _rows(one)]
    if not rows:
        section.text("No prediction of this time is known. Labels are handed over like this:")
        section.typed("penstock feedback labels.csv")
        section.text(link("Upload labels", visit.at("labels")))
        return page
    section.table(
        ["version", "arm", "predictions", "labels", "coverage, %", *_FIGURE],
        rows,
        _INTERVALS,
    )
    section.text(link("Upload labels", visit.at("labels")))
    _by_segment(page, found, visit, by)
    _windows(page.section("Over time"), found["versions"])
    _delays(page.section("Delay of labels"), found["versions"])
    return page


def _by_segment(page: Page, found: Mapping[str, Any], visit: Visit, by: str) -> None:
    """The segments that are answered worse, the way to the figures by each field, and these."""
    told = [one for one in found["versions"] if one["segments"] is not None]
    fields = sorted({field for one in told for field in one["segments"]["fields"]})
    if not fields:
        return
    section = page.section("By segment")
    for one in told:
        for worse in one["segments"]["worse"]:
            (bad, votes), (others, all_others) = worse["bad"], worse["others"]
            section.callout(
                f"{_name(one)} is worse in {worse['field']}={worse['segment']} than "
                f"{worse['versus']}: {bad} of {votes} bad, against {others} of {all_others} "
                f"(p {worse['p']:.2g})",
                "bad",
            )
    here = visit.at("models", found["model"], "performance")
    links = [link(f"by {one}", f"{here}?{urlencode({'by': one})}") for one in fields]
    section.text(joined(*links))
    rows: list[list[Value]] = [
        [
            segment["segment"],
            _name(one),
            segment["labels"],
            *_figure(name, figure),
        ]
        for one in told
        for segment in one["segments"]["values"] or ()
        for name, figure in segment["figures"].items()
        if figure is not None
    ]
    if rows:
        headers = [by or "segment", "version", "labels", *_FIGURE]
        section.table(headers, rows, _INTERVALS)


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
        return [[*first, "", None, None, None, None]]
    return [[*first, *_figure(name, figure)] for name, figure in figures.items()]


def _figure(name: str, figure: Mapping[str, Any]) -> list[Value]:
    """Cells of `_FIGURE`."""
    return [name, figure["value"], figure["low"], figure["high"], figure.get("up_to")]
