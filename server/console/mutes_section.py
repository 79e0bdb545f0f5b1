"""The mutes as a section of a page, and the forms to mute and to end a mute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.server.auth.tokens import OPERATE
from penstock.server.page.form import Field

from .rollout_words import moment
from .routes import Routes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.server.page.page import Section

    from .visit import Visit

#: In place of the name of a feature.
_ALL: Final = "all features"
_KINDS: Final = ("drift", "performance", "quality")
_TIMES: Final = ("1h", "4h", "1d", "7d", "30d")
_EFFECT: Final = (
    "Nobody is told when such alerts open; they are watched and shown as before. What is still "
    "open when the mute ends is told then."
)


def mute_routes() -> Routes:
    """The forms."""
    return Routes(forms={"/models/{model}/drift/mute": _mute, "/mutes/{mute}/end": _end})


def mutes_table(section: Section, mutes: Sequence[Mapping[str, Any]], visit: Visit) -> None:
    """The mutes, and for who may, a form to end each.

    Args:
        section: Section of the page.
        mutes: As ``GET /admin/mutes`` gives them.
        visit: Visit that the page is for.
    """
    if not mutes:
        section.text("Nothing is muted.")
        return
    section.table(
        ["model", "alerts", "feature", "version", "until (UTC)", "by", "reason"],
        [
            [
                one["model"],
                one["kind"],
                one["feature"] or "all",
                one["version"] or "all",
                moment(one["until"]),
                one["by"],
                one["reason"],
            ]
            for one in mutes
        ],
    )
    if visit.may(OPERATE):
        for one in mutes:
            words = f"End the mute of {_muted(one)} of {one['model']}"
            effect = "From now on alerts are told; those that opened meanwhile and last, at once."
            section.form(visit.form(("mutes", one["id"], "end"), words, effect))


def add_mute_form(section: Section, model: str, features: Sequence[str], visit: Visit) -> None:
    """The form by which a visitor who may operate mutes a model, or one of its features.

    Args:
        section: Section of the page.
        model: Name of the model.
        features: Names of the features that are watched.
        visit: Visit that the page is for.
    """
    section.form(
        visit.form(
            ("models", model, "drift", "mute"),
            "Mute",
            _EFFECT,
            Field("kind", "Alerts", options=_KINDS),
            Field("feature", "Feature", value=_ALL, options=(_ALL, *features)),
            Field("for", "For", value=_TIMES[2], options=_TIMES),
            reason_needed=True,
        )
    )


async def _mute(request: Request, visit: Visit) -> Response:
    name, fields = request.path_params["model"], request.state.fields
    request.state.after = "models", name, "drift"
    asked = {key: fields.get(key, "") for key in ("kind", "feature", "for", "reason")}
    if asked["feature"] == _ALL:
        asked["feature"] = ""
    made = await visit.api.ask("POST", ("admin", "mutes"), {"model": name, **asked})
    words = f"Nobody is told of {_muted(made)} until {moment(made['until'])} UTC."
    return visit.done(words, *request.state.after)


async def _end(request: Request, visit: Visit) -> Response:
    request.state.after = ("alerts",)
    path = "admin", "mutes", request.path_params["mute"]
    ended = await visit.api.ask("DELETE", path, {"reason": request.state.fields.get("reason", "")})
    words = f"The mute of {_muted(ended)} of {ended['model']} is over."
    return visit.done(words, *request.state.after)


def _muted(mute: Mapping[str, Any]) -> str:
    """What is muted, for people."""
    return f"{mute['kind']} of {mute['feature']}" if mute["feature"] else str(mute["kind"])
