"""The gates of the newest versions of a model, and the forms to approve one or to let it in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.server.auth.tokens import APPROVE, OPERATE
from penstock.server.errors import NotFound
from penstock.server.page.form import Field
from penstock.server.page.page import Figure, Page

from .gate_page import gates_section
from .rollout_words import moment
from .routes import Routes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.server.page.page import Section

    from .visit import Visit

#: Versions on the page, the newest.
_MOST_VERSIONS: Final = 5
_TONES: Final = {"let in": "good", "held": "bad", "running": "warning"}
_APPROVE: Final = (
    "If its gates pass, it is loaded and takes traffic as the model's options say. The approval is "
    "for the files with this digest."
)
_OVERRIDE: Final = (
    "It is loaded and takes traffic as the model's options say, whatever its gates found."
)
_AGAIN: Final = "The version stays held until the gates have been run."


def gates_routes() -> Routes:
    """The page and its forms."""
    place = "/models/{model}/versions/{version}/gates"
    return Routes(
        pages={"/models/{model}/gates": _show},
        forms={f"{place}/{action}": _act for action in ("approve", "override", "run")},
    )


async def _show(request: Request, visit: Visit) -> Response:
    model = request.path_params["model"]
    status = await visit.api.ask("GET", ("admin", "status"))
    known = next((one for one in status["models"] if one["name"] == model), None)
    if known is None:
        raise NotFound(f"there is no model {model!r}")
    page = Page(f"Gates of {model}")
    numbers = sorted((int(one["version"]) for one in known["versions"]), reverse=True)
    for number in numbers[:_MOST_VERSIONS]:
        path = "admin", "models", model, "versions", str(number), "gates"
        _version(page.section(f"Version {number}"), await visit.api.ask("GET", path), visit)
    return visit.answer(page, model=model, live=True)


def _version(section: Section, found: Mapping[str, Any], visit: Visit) -> None:
    report = found["report"]
    section.figures(
        Figure("gates", found["state"], "", _TONES.get(found["state"], "")),
        Figure("pushed by", found["pushed_by"] or "unknown"),
        *([Figure("run", moment(report["at"]), "UTC")] if report else []),
    )
    if found["reason"]:
        section.callout(found["reason"], "bad")
    if report:
        gates_section(section, report)
    for one in found["approvals"]:
        what = "Let in" if one["override"] else "Approved"
        section.text(f"{what} by {one['by']} until {moment(one['until'])} UTC, {one['digest']}.")
    if found["state"] == "held":
        _forms(section, found, visit)


def _forms(section: Section, found: Mapping[str, Any], visit: Visit) -> None:
    name = f"version {found['version']}"
    place = "models", found["model"], "versions", str(found["version"]), "gates"
    digest = Field("digest", value=found["digest"])
    if visit.may(OPERATE):
        section.form(visit.form((*place, "run"), f"Run the gates of {name} again", _AGAIN))
    if visit.may(APPROVE):
        section.form(visit.form((*place, "approve"), f"Approve {name}", _APPROVE, digest))
        section.form(
            visit.form(
                (*place, "override"),
                f"Let {name} in",
                _OVERRIDE,
                digest,
                tone="bad",
                reason_needed=True,
            )
        )


async def _act(request: Request, visit: Visit) -> Response:
    model, version = (request.path_params[key] for key in ("model", "version"))
    fields, action = request.state.fields, request.url.path.rsplit("/", 1)[1]
    request.state.after = "models", model, "gates"
    asked = {key: fields[key] for key in ("reason", "digest") if fields.get(key)}
    if action == "run":
        asked.pop("digest", None)
    path = "admin", "models", model, "versions", version, "gates", action
    found = await visit.api.ask("POST", path, asked)
    return visit.done(f"Version {version} is {found['state']}.", *request.state.after)
