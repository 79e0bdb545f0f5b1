"""The report of the gates of a version as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.server.page.page import Figure, Page

from .rollout_words import moment

if TYPE_CHECKING:
    from penstock.server.page.page import Section


def gate_page(report: dict[str, Any]) -> str:
    """One self-contained HTML document.

    Args:
        report: As `GateReport.to_json` gives it.
    """
    against = report["incumbent"]
    beside = "" if against is None else f", compared with version {against}"
    page = Page(f"Gates of {report['model']} version {report['version']}", report["digest"])
    section = page.section("Verdict")
    tone = "good" if report["passed"] else "bad"
    section.figures(
        Figure("gates", "passed" if report["passed"] else "held", "", tone),
        Figure("run", moment(report["at"]), f"UTC, {report['seconds']:.1f} s{beside}"),
    )
    gates_section(page.section("Gates"), report)
    for one in report["results"]:
        if one["figures"]:
            page.section(one["gate"].capitalize()).table(
                ["figure", "value"], [[name, _told(value)] for name, value in _rows(one["figures"])]
            )
    data = report["data"]
    return page.render(footer=f"held-out rows: sha256 {data}" if data else "without held-out rows")


def gates_section(section: Section, report: dict[str, Any]) -> None:
    """One row for each gate."""
    section.table(
        ["gate", "verdict", "what was found"],
        [[one["gate"], one["verdict"], one["reason"]] for one in report["results"]],
    )


def _rows(figures: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """The figures of nested tables in one list, by their path."""
    found: list[tuple[str, Any]] = []
    for name, value in figures.items():
        if isinstance(value, dict):
            found += _rows(value, f"{prefix}{name}, ")
        else:
            found.append((f"{prefix}{name}", value))
    return found


def _told(value: Any) -> str | float | None:
    if isinstance(value, list):
        return ", ".join(f"{one:.4g}" if isinstance(one, float) else str(one) for one in value)
    return value if isinstance(value, int | float | str) or value is None else str(value)
