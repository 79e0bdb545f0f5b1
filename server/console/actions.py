"""The actions of a visitor, as requests to the endpoints of the admin port. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.server.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to an endpoint.

    Attributes:
        method: HTTP method.
        path: Segments of the path, unquoted.
        body: JSON of the request.
    """

    method: str
    path: tuple[str, ...]
    body: Mapping[str, Any]


#: What a form may do with a rollout in progress.
ROLLOUT_ACTIONS = ("pause", "resume", "promote", "abort", "finish")


def asked(model: str, action: str, fields: Mapping[str, str]) -> Asked:
    """The request that a form of a model stands for.

    Args:
        model: Name of the model.
        action: The last segment of the form's path.
        fields: Values that were typed and chosen, by field.

    Raises:
        InvalidRequest: A field makes no sense.
        NotFound: There is no such action.
    """
    base = "admin", "models", model
    body: dict[str, Any] = {"reason": fields.get("reason", "")}
    if action in {"promote", "load", "unload"}:
        return Asked("POST", (*base, "versions", fields.get("version", ""), action), body)
    if action == "rollback":
        return Asked("POST", (*base, "rollback"), body)
    if action == "alias":
        body["version"] = fields.get("version", "")
        return Asked("PUT", (*base, "aliases", fields.get("alias", "")), body)
    if action in {"start", "plan"}:
        return _rollout_asked((*base, "rollout"), action, {**body, **_terms(fields)})
    if action == "approve":
        return Asked(
            "POST", (*base, "rollout", action), {**body, "digest": fields.get("digest", "")}
        )
    name = action.removeprefix("rollout-")
    if name in ROLLOUT_ACTIONS:
        return Asked("POST", (*base, "rollout", name), body)
    raise NotFound(f"there is no action {action!r}")


def _rollout_asked(path: tuple[str, ...], action: str, terms: dict[str, Any]) -> Asked:
    """The start of a rollout, or the plan of one, which is always of a canary."""
    if action == "start":
        return Asked("POST", path, terms)
    return Asked("POST", (*path, action), {key: terms[key] for key in terms if key != "kind"})


def _terms(fields: Mapping[str, str]) -> dict[str, Any]:
    """Terms of a rollout that were typed; `model.toml` has the others."""
    terms: dict[str, Any] = {
        "kind": fields.get("kind", "canary"),
        "version": fields.get("version", ""),
    }
    text = fields.get("steps", "").replace(",", " ").replace("%", " ")
    try:
        steps = [float(one) for one in text.split()]
    except ValueError:
        shown = fields["steps"][:80]
        raise InvalidRequest(f"steps are {shown!r}, expected percents such as 1 5 25 100") from None
    if steps:
        terms["steps"] = steps
    return terms
