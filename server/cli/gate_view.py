"""The report of the gates of a version as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .output import plain, table

if TYPE_CHECKING:
    from rich.console import RenderableType

_STYLES: Final = {"passed": "green", "failed": "red", "not enough data": "yellow"}


def report_view(report: dict[str, Any]) -> RenderableType:
    """One line for each gate."""
    from rich.console import Group
    from rich.text import Text

    shown = table("gate", "verdict", "what was found")
    for one in report["results"]:
        verdict = one["verdict"]
        shown.add_row(plain(one["gate"]), Text(verdict, _STYLES[verdict]), plain(one["reason"]))
    beside = "" if report["incumbent"] is None else f" beside version {report['incumbent']}"
    end = "every gate passed" if report["passed"] else "it is held"
    return Group(shown, plain(f"{report['model']} version {report['version']}{beside}: {end}"))
