"""The model and the version that the path of a request names, if the registry has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.server.errors import NotFound

from . import wire

if TYPE_CHECKING:
    from starlette.requests import Request

    from penstock.server.control.coordination.coordinator import Coordinator


def named_model(coordinator: Coordinator, request: Request) -> str:
    """The model of the path.

    Raises:
        NotFound: The registry has no such model.
    """
    model: str = request.path_params["model"]
    check_model(coordinator, model)
    return model


def check_model(coordinator: Coordinator, model: object) -> None:
    """Whether the registry has a model of this name.

    Raises:
        NotFound: It has not.
    """
    models = coordinator.planner.findings.snapshot.models
    if not isinstance(model, str) or model not in models:
        shown = str(model)[: wire.MAX_SHOWN]
        raise NotFound(f"there is no model {shown!r}; there are {', '.join(models) or 'none'}")


def named_version(coordinator: Coordinator, request: Request) -> tuple[str, int]:
    """The model and the version of the path.

    Raises:
        InvalidRequest: The version is no number.
        NotFound: The registry does not have them.
    """
    model = named_model(coordinator, request)
    version = wire.version_of(request.path_params["version"])
    check_version(coordinator, model, version)
    return model, version


def check_version(coordinator: Coordinator, model: str, version: int) -> None:
    """Whether the registry has a version of a model that it has.

    Raises:
        NotFound: It has not.
    """
    if version not in coordinator.planner.findings.snapshot.models[model].versions:
        raise NotFound(f"version {version} of model {model!r} is not in the registry")
