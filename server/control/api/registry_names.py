"""The model and the version that the path of a request names, if the registry has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.wording import did_you_mean
from penstock.server.errors import NotFound

from . import wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

    from penstock.server.control.coordination.coordinator import Coordinator

#: Models that an error lists.
_MOST_NAMES: Final = 20


def named_model(coordinator: Coordinator, request: Request) -> str:
    """The model of the path.

    Raises:
        NotFound: The registry has no such model.
    """
    model: str = request.path_params["model"]
    check_model(coordinator, model)
    return model


def check_model(coordinator: Coordinator, model: object) -> None:
    """Refuse a name that no model of the registry has.

    Raises:
        NotFound: No model has this name.
    """
    models = coordinator.planner.findings.snapshot.models
    if not isinstance(model, str) or model not in models:
        raise no_such_model(model, models)


def no_such_model(model: object, known: Iterable[str]) -> NotFound:
    """The error for a name that no model of the registry has: it says which one may be meant.

    Args:
        model: Name that was asked for.
        known: Names of the models of the registry.
    """
    names = list(known)
    shown = str(model)[: wire.MAX_SHOWN]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    there = f"; there are {', '.join(names[:_MOST_NAMES]) or 'none'}{more}"
    return NotFound(f"there is no model {shown!r}{did_you_mean(shown, names) or there}")


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
    """Refuse a version that a model of the registry does not have.

    Raises:
        NotFound: The model has no such version.
    """
    if version not in coordinator.planner.findings.snapshot.models[model].versions:
        raise NotFound(f"version {version} of model {model!r} is not in the registry")
