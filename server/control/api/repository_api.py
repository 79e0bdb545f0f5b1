"""The repository extension of the Open Inference Protocol, over the same commands.

Triton's protocol has no version in load and unload; here ``parameters.version`` or ``?version=``
names one. Without it, load takes the newest version and unload all that no alias points at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.server.errors import InvalidRequest, NotFound
from penstock.server.serving.lifecycle import REPOSITORY_STATES, State

from .command import Command
from .status import MIXED
from .wire import version_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.server.control.coordination.coordinator import Coordinator

    from .operations import Operations

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


class Repository:
    """Loads and unloads as the extension has them.

    Args:
        coordinator: Registry and target.
        operations: Carries commands out.
    """

    def __init__(self, coordinator: Coordinator, operations: Operations) -> None:
        self._coordinator = coordinator
        self._operations = operations

    async def load(self, model: str, version: int | None, actor: str) -> None:
        """Load a version, by default the newest.

        Args:
            model: Name of the model.
            version: The version, if one is named.
            actor: Name of the token that commands.

        Raises:
            NotFound: There is no such model or version.
            ApiError: As from `Operations.load`.
        """
        if version is None:
            await self._coordinator.refresh()
            version = self._newest(model)
        await self._operations.load(Command("load", model, actor), version)

    async def unload(self, model: str, version: int | None, actor: str) -> None:
        """Unload a version, by default all that no alias points at.

        Args:
            model: As for `load`.
            version: As for `load`.
            actor: As for `load`.

        Raises:
            NotFound: Nothing of the model is served.
            ApiError: As from `Operations.unload`.
        """
        for one in [version] if version else self._unaliased(model):
            await self._operations.unload(Command("unload", model, actor), one)

    def _newest(self, model: str) -> int:
        entry = self._coordinator.planner.findings.snapshot.models.get(model)
        if entry is None:
            raise NotFound(f"there is no model {model!r} in the registry")
        return max(entry.versions)

    def _unaliased(self, model: str) -> list[int]:
        plan = self._coordinator.planner.target.models.get(model)
        if plan is None:
            raise NotFound(f"model {model!r} is not served")
        return [version for version in plan.versions if version not in plan.aliases.values()]
