"""The banner of ``penstock serve``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from penstock.server.config.config import ServerConfig
    from penstock.server.desired_state.state import DesiredState, ModelState
    from penstock.server.processes.state_directory import StateDirectory
    from penstock.server.registry.repository import ModelEntry, RegistrySnapshot

#: Models, and versions of a model, that the banner names.
_MAX_SHOWN: Final = 50


def banner(
    config: ServerConfig,
    urls: tuple[str, str],
    snapshot: RegistrySnapshot,
    state: DesiredState,
    note: str = "",
    source: Path | None = None,
    grpc_urls: Sequence[str] = (),
) -> str:
    """The first lines for a person. Nothing is loaded yet, so they name no serving version.

    Args:
        config: Configuration of the server.
        urls: URLs of the prediction port and of the admin port.
        snapshot: The content of the registry.
        state: The desired state.
        note: The reason why state is not kept; empty if it is kept.
        source: The single model that is served; ``None`` for a registry.
        grpc_urls: URLs of gRPC, for predictions and for loading models.
    """
    url, admin_url = urls
    lines = [f"Penstock serves {config.store or (source or config.registry).resolve()}", ""]
    name = next(iter(snapshot.models)) if len(snapshot.models) == 1 else "<model>"
    width = max(map(len, snapshot.models), default=0)
    explicit = config.version_policy == "explicit"
    lines += [
        f"  {one.name:<{width}}  {_intended(one, state.model(one.name), explicit=explicit)}"
        for one in list(snapshot.models.values())[:_MAX_SHOWN]
    ]
    if len(snapshot.models) > _MAX_SHOWN:
        lines.append(f"  and {len(snapshot.models) - _MAX_SHOWN} more")
    if not snapshot.models and config.store:
        lines.append("  no models are known yet: the store is read now")
    elif not snapshot.models:
        lines.append("  no models yet: put one at <model>/1/model.onnx")
    lines += [f"  ! {problem.path}: {problem.reason}" for problem in snapshot.problems]
    lines += [
        "",
        f"  predict  {url}/v2/models/{name}/infer",
        *[f"  grpc     {one}" for one in grpc_urls],
        f"  docs     {url}/docs",
        f"  console  {admin_url}/",
        f"  metrics  {admin_url}/metrics",
        f"  status   {admin_url}/admin/status   (what is served: penstock status)",
        f"  state    {config.state_dir}" + (f"   TEMPORARY: {note}" if note else ""),
        f"  workers  {config.workers} with {config.execution_threads()} execution threads each",
    ]
    return "\n".join(lines)


def _intended(entry: ModelEntry, now: ModelState, *, explicit: bool) -> str:
    """The versions to be loaded, and the version that operators have named stable."""
    from penstock.server.target.plan import policy_versions, wanted_versions

    by_policy = policy_versions(entry, entry.versions, explicit=explicit)
    wanted = [one for one in wanted_versions(now, by_policy) if one in entry.versions]
    if not wanted:
        return "no versions yet" if not entry.versions else "loads nothing without a command"
    versions = ", ".join(map(str, wanted[-_MAX_SHOWN:]))
    several = "versions" if len(wanted) > 1 else "version"
    stable = "" if now.stable is None else f"; stable is version {now.stable}"
    return f"loading {several} {versions}{stable}"


def desired(state: StateDirectory) -> DesiredState:
    """The desired state; an empty one if it cannot be read, which control reports."""
    from penstock.server.desired_state.state import DesiredState
    from penstock.server.desired_state.state_file import StateDamaged, StateFile

    try:
        return StateFile(state.path).read()
    except (OSError, StateDamaged):
        return DesiredState()
