"""The page of a model's drift, and what can be done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.server.auth.tokens import OPERATE
from penstock.server.page.form import Field

from .admin_api import Refused
from .mutes_section import add_mute_form, mutes_table
from .rollout_words import moment
from .routes import Routes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.server.page.page import Page, Section

    from .visit import Visit

    #: Makes the page of a model, without what can be done.
    MakePage = Callable[[str], Awaitable[Page]]

#: Versions with an action of their own, the newest.
_VERSIONS: Final = 5
#: Features that a sentence names.
_NAMED: Final = 5


def drift_routes(make_page: MakePage) -> Routes:
    """The page and its forms."""
    pages = DriftPages(make_page)
    path = "/models/{model}/drift"
    return Routes(pages={path: pages.show}, forms={f"{path}/accept": pages.accept})


class DriftPages:
    """The handlers of the page of drift.

    Args:
        make_page: Makes the page of a model, without what can be done.
    """

    def __init__(self, make_page: MakePage) -> None:
        self._make_page = make_page

    async def show(self, request: Request, visit: Visit) -> Response:
        """The page, with the forms that the visitor may send."""
        name = request.path_params["model"]
        found = await visit.api.get("admin", "models", name, "drift")
        page = await self._make_page(name)
        mutes = (await visit.api.get("admin", "mutes"))["mutes"]
        mine = [one for one in mutes if one["model"] == name]
        mutes_table(page.section("Muted"), mine, visit)
        if visit.may(OPERATE):
            watched = {one["version"]: None for one in found["versions"] if one["window"]}
            section = page.section("Actions")
            for version in list(watched)[-_VERSIONS:]:
                await _offer(section, name, version, visit)
            names = {one["name"]: None for entry in found["versions"] for one in entry["features"]}
            add_mute_form(section, name, list(names), visit)
        return visit.answer(page, model=name)

    async def accept(self, request: Request, visit: Visit) -> Response:
        """The form by which windows become the baseline."""
        name, fields = request.path_params["model"], request.state.fields
        request.state.after = "models", name, "drift"
        number = fields.get("windows", "")
        body = {
            "reason": fields.get("reason", ""),
            "baseline": fields.get("baseline", ""),
            "windows": int(number) if number.isdecimal() else number,
        }
        path = _path(name, fields.get("version", ""))
        outcome = await visit.api.ask("POST", path, body)
        words = f"Version {outcome['version']} is compared with these windows from now on."
        return visit.done(words + _calibrating(outcome) + _anew(outcome), *request.state.after)


async def _offer(section: Section, model: str, version: str, visit: Visit) -> None:
    """The form, if windows can be accepted; else why not."""
    try:
        draft = await visit.api.ask("POST", _path(model, version), {"dry_run": True})
    except Refused as refusal:
        section.text(f"The windows of version {version} cannot be accepted: {refusal.message}")
        return
    section.form(
        visit.form(
            ("models", model, "drift", "accept"),
            f"Accept as new baseline of version {version}",
            accept_words(draft),
            Field("version", value=version),
            Field("windows", value=str(draft["windows"])),
            Field("baseline", value=draft["before"]),
            reason_needed=True,
        )
    )


def accept_words(draft: Mapping[str, Any]) -> str:
    """The effect of accepting windows; `draft` is as ``POST …/baseline/accept`` gives it."""
    return (
        f"The last {draft['windows']} windows, of {draft['rows']} rows from "
        f"{moment(draft['start'])} to {moment(draft['end'])} UTC, become what version "
        f"{draft['version']} is compared with. Open episodes end."
        + _calibrating(draft)
        + _anew(draft)
    )


def _calibrating(draft: Mapping[str, Any]) -> str:
    """A sentence about the time in which it is learnt how much healthy windows vary."""
    until = draft["calibrating_until"]
    if until is None:
        return ""
    return (
        f" Until {moment(until)} UTC at the earliest, when it is known how much healthy windows "
        "vary, only gross drift opens another."
    )


def _anew(draft: Mapping[str, Any]) -> str:
    """A sentence about the features that the windows do not give a baseline."""
    names = draft["learnt_anew"]
    if not names:
        return ""
    few = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if names[_NAMED:] else "")
    return f" Too far from the old bins, and learnt anew from the next rows: {few}."


def _path(model: str, version: str) -> tuple[str, ...]:
    return "admin", "models", model, "versions", version, "baseline", "accept"
