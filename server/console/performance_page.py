"""The page of a model's performance by its labels. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.server.page.page import Page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.server.page.page import Value


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
    return page


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
