"""The repository extension of the Open Inference Protocol, over the same commands.

Triton's protocol has no version in load and unload; here ``parameters.version`` or ``?version=``
names one. Without it, load takes the newest version and unload all that no alias points at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.server.errors import InvalidRequest, NotFound
from penstock.server.serving.lifecycle import REPOSITORY_STATES, State

from .registry_names import check_model
from .status import MIXED
from .wire import version_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.server.control.coordination.coordinator import Coordinator

#: Parameters of Triton that change nothing here.
_IGNORED = ("unload_dependents",)


def index(models: list[dict[str, Any]], *, ready: bool) -> list[dict[str, Any]]:
    """``POST /v2/repository/index``.

    Args:
        models: As `penstock.server.control.api.status.status` has them.
        ready: Only versions that every worker serves.
    """
    return [
        {
            "name": model["name"],
            "version": str(one["version"]),
            "state": _state(one["state"]),
            "reason": one["reason"] or one["note"],
        }
        for model in models
        for one in model["versions"]
        if one["state"] == State.READY or not ready
    ]


def _state(state: str) -> str:
    """Workers that differ are on their way."""
    return "LOADING" if state == MIXED else REPOSITORY_STATES[State(state)]


def asked_version(body: Mapping[str, Any], query: Mapping[str, str]) -> int | None:
    """The version that a load or unload names, if it does.

    Raises:
        InvalidRequest: It is none, or a parameter is given that cannot be honoured.
    """
    parameters = body.get("parameters", {})
    if not isinstance(parameters, dict):
        raise InvalidRequest("parameters must be an object")
    for name in parameters:
        if name not in ("version", *_IGNORED):
            raise InvalidRequest(
                f"parameter {name!r} is not possible: models and their configuration come from "
                "the registry (penstock push, model.toml)"
            )
    version = parameters.get("version", query.get("version"))
    return None if version is None else version_of(version)


def newest(coordinator: Coordinator, model: str) -> int:
    """The newest published version.

    Raises:
        NotFound: There is no such model.
    """
    check_model(coordinator, model)
    return max(coordinator.planner.findings.snapshot.models[model].versions)


def unaliased(coordinator: Coordinator, model: str) -> list[int]:
    """The versions that are served and that no alias points at.

    Raises:
        NotFound: Nothing of the model is served.
    """
    plan = coordinator.planner.target.models.get(model)
    if plan is None:
        raise NotFound(f"model {model!r} is not served")
    return [version for version in plan.versions if version not in plan.aliases.values()]
