"""The page of alerts: what is wrong, since when, and who was told. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from penstock.server.auth.tokens import OPERATE
from penstock.server.page.form import Field
from penstock.server.page.markup import badge, joined, link
from penstock.server.page.page import Page

from .mutes_section import mutes_table
from .overview import SEVERITY_TONES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.server.page.page import Section, Value

    from .visit import Visit

_HEADERS = ("when (UTC)", "model", "alert", "severity", "summary", "told")
_TONES = {"delivered": "good", "failed": "bad", "muted": "warning"}


def alerts_page(found: Mapping[str, Any], mutes: Sequence[Mapping[str, Any]], visit: Visit) -> Page:
    """The page.

    Args:
        found: As ``GET /admin/alerts`` gives it.
        mutes: As ``GET /admin/mutes`` gives them.
        visit: Visit that the page is for.
    """
    page = Page("Alerts", f"sinks: {', '.join(found['sinks']) or 'none'}")
    alerts = found["alerts"]
    _table(page.section("Open"), [one for one in alerts if one["open"]], visit, "No alert is open.")
    closed = [one for one in alerts if not one["open"]]
    _table(page.section("Closed"), closed, visit, "No alert was closed.")
    mutes_table(page.section("Muted"), mutes, visit)
    if visit.may(OPERATE) and found["sinks"]:
        page.section("Test").form(
            visit.form(
                ("alerts", "test"),
                "Test a sink",
                "The sink is told of an alert that says it is a test.",
                Field("sink", "Sink", options=tuple(found["sinks"])),
            )
        )
    return page


def _table(section: Section, alerts: Sequence[Mapping[str, Any]], visit: Visit, none: str) -> None:
    if not alerts:
        section.text(none)
        return
    section.table(_HEADERS, [_row(one, visit) for one in alerts])


def _row(one: Mapping[str, Any], visit: Visit) -> list[Value]:
    when = datetime.fromtimestamp(one["time"], UTC)
    model = one["model"]
    told = (
        badge(f"{sent['sink']} {sent['status']}", _TONES.get(sent["status"], ""))
        for sent in one["deliveries"]
    )
    return [
        f"{when:%Y-%m-%d %H:%M:%S}",
        link(model, visit.at("models", model)) if model else "",
        one["name"],
        badge(one["severity"], SEVERITY_TONES.get(one["severity"], "")),
        one["summary"],
        joined(*told),
    ]
