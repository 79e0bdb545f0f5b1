"""The note of `penstock push` on the traffic of the published version."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .place import running_configs

if TYPE_CHECKING:
    from penstock.server.config.model_config import ModelConfig
    from penstock.server.desired_state.state import ModelState


def traffic_note(registry: Path, model: str, version: int, store: str = "") -> str:
    """One line: whether the new version answers requests that name no version, and why.

    It reads the model's ``model.toml``, the options of a server that runs here on this registry,
    and its desired state. Without a running server the options are the defaults.

    Args:
        registry: A registry with the versions of the model and its settings.
        model: Name of the model.
        version: The new version.
        store: URL of the object store that the registry stands for, if it does.
    """
    from penstock.server.config.model_config import ModelConfig, read_model_config
    from penstock.server.files.config_error import ConfigError
    from penstock.server.registry.repository import VERSION_NAME

    home = registry / model
    path = home / "model.toml"
    try:
        config = read_model_config(path) if path.exists() else ModelConfig()
    except ConfigError as error:
        return f"decided by model.toml, which has an error: {error}"
    server = _server_of(registry, store)
    others = {int(one.name) for one in home.iterdir() if VERSION_NAME.fullmatch(one.name)}
    return _note(model, version, config, server, _state_of(registry, model, server), others)


def aliases_of(registry: Path, store: str, model: str) -> dict[str, int]:
    """The aliases of a model, as the state of the server of this registry has them.

    Args:
        registry: As in `traffic_note`.
        store: As there.
        model: Name of the model.
    """
    return dict(_state_of(registry, model, _server_of(registry, store)).aliases)


def _note(
    model: str,
    version: int,
    config: ModelConfig,
    server: dict[str, Any],
    state: ModelState,
    published: set[int],
) -> str:
    from penstock.server.config.version_policy import CANARY, SERVE, WAIT, VersionPolicy

    policy = config.version_policy
    unsaid = policy == VersionPolicy() and server.get("version_policy") == "explicit"
    if policy.explicit or unsaid:
        return f"none before a command (version_policy = explicit): penstock load {model} {version}"
    on_push = config.on_push or server.get("on_push", SERVE)
    where = "model.toml" if config.on_push else "server option" if server else "default"
    older = published - {version}
    promote = f"penstock promote {model} {version}"
    if on_push == CANARY and older:
        return _canary_note(model, version, state, where)
    if state.stable is not None and state.stable != version:
        return f"none by itself: version {state.stable} is stable and stays so until: {promote}"
    newer = max(older, default=0) > version
    if older and (newer or on_push == WAIT):
        why = f"version {max(older)} is newer" if newer else f"on_push = wait, {where}"
        return f"none by itself ({why}): {promote}"
    unless = "" if server else "; a server on another machine may have another option or state"
    return f"takes it as soon as every worker has it ready (on_push = {on_push}, {where}){unless}"


def _canary_note(model: str, version: int, state: ModelState, where: str) -> str:
    tried = max(state.tried, state.stable or 0)
    if version > tried:
        return f"its canary begins when every worker has it ready (on_push = canary, {where})"
    start = f"penstock canary start {model} {version}"
    return f"none by itself: version {tried} was stable or on trial already: {start}"


def _server_of(registry: Path, store: str = "") -> dict[str, Any]:
    """The options of the server that runs here on this registry; empty without one."""
    for options in running_configs():
        if store and options.get("store") == store:
            return options
        if Path(options["registry"]).resolve() == registry.resolve():
            return options
    return {}


def _state_of(registry: Path, model: str, server: dict[str, Any]) -> ModelState:
    from penstock.server.desired_state.state import ModelState
    from penstock.server.desired_state.state_file import STATE_FILE, StateDamaged, StateFile

    directory = Path(server.get("state_dir") or registry / ".penstock")
    if (directory / STATE_FILE).exists():
        with suppress(OSError, StateDamaged):
            return StateFile(directory).read().model(model)
    return ModelState()
