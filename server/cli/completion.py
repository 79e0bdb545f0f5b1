"""Completions for shells: names of models, versions and aliases that the server knows.

Nothing is said where no server answers at once: a completion must not disturb.
"""

from pathlib import Path
from typing import Any, Final

import typer

from .client import AdminClient, ServerOptions, find_server
from .command_failed import CommandFailed

_TIMEOUT_SECONDS: Final = 2.0


def complete_model(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of models, from the registry that was typed before, or from the server."""
    registry = ctx.params.get("registry")
    names = _models_in(Path(registry)) if registry else [one["name"] for one in _models(ctx)]
    return [one for one in names if one.startswith(incomplete)]


def complete_version(ctx: typer.Context, incomplete: str) -> list[str]:
    """Versions of the model that was typed before."""
    registry = ctx.params.get("registry")
    if registry:
        from penstock.server.registry.repository import VERSION_NAME

        home = Path(registry, str(ctx.params.get("model")))
        numbers = [int(one) for one in _names_in(home) if VERSION_NAME.fullmatch(one)]
    else:
        numbers = [one["version"] for model in _named(ctx) for one in model["versions"]]
    return [str(one) for one in sorted(numbers) if str(one).startswith(incomplete)]


def complete_alias(ctx: typer.Context, incomplete: str) -> list[str]:
    """Aliases of the model that was typed before."""
    return [one for model in _named(ctx) for one in model["aliases"] if one.startswith(incomplete)]


def _named(ctx: typer.Context) -> list[dict[str, Any]]:
    """The model that was typed before; empty if the server does not know it."""
    return [one for one in _models(ctx) if one["name"] == ctx.params.get("model")]


def _models(ctx: typer.Context) -> list[dict[str, Any]]:
    """The models of the chosen server."""
    given = {name: ctx.params.get(name) for name in ("admin_url", "token", "state_dir")}
    try:
        found = find_server(ServerOptions(**given))
        models: list[dict[str, Any]] = AdminClient(found.url, found.token, _TIMEOUT_SECONDS).get(
            "/admin/status"
        )["models"]
    except (CommandFailed, OSError, TypeError, KeyError):
        return []
    return models


def _models_in(registry: Path) -> list[str]:
    from penstock.server.registry.repository import MODEL_NAME

    return sorted(one for one in _names_in(registry) if MODEL_NAME.fullmatch(one))


def _names_in(directory: Path) -> list[str]:
    try:
        return [one.name for one in directory.iterdir() if one.is_dir()]
    except OSError:
        return []
