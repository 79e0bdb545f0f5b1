"""What a worker tells control about each version that it knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.server.isolation.isolated_model import IsolatedModel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from penstock.server.serving.catalog import Catalog, Key
    from penstock.server.serving.servable import Servable


def version_report(
    catalog: Catalog, directories: Mapping[Key, Path], configs: Mapping[Key, str]
) -> list[dict[str, Any]]:
    """State of every version, ready for the link.

    Args:
        catalog: Catalog of the worker.
        directories: Directory of each version that was loaded, or failed to load.
        configs: The digest of the configuration with which that was.
    """
    return [
        {
            "name": name,
            "version": number,
            "state": str(status.state),
            "reason": status.reason,
            "since": status.since,
            "directory": str(directories.get((name, number), "")),
            "config": configs.get((name, number), ""),
            "memory": _memory(catalog, name, number),
            "batching": _batching(catalog, name, number),
            "processes": _processes(catalog, name, number),
            **_names(catalog, name, number),
        }
        for (name, number), status in sorted(
            catalog.statuses.items(), key=lambda item: (item[0][0], int(item[0][1]))
        )
    ]


def _memory(catalog: Catalog, name: str, number: str) -> dict[str, int] | None:
    """What loading it took; ``None`` while it is not loaded."""
    servable = _servable(catalog, name, number)
    if servable is None:
        return None
    memory = servable.memory
    return {"estimated_bytes": memory.estimated, "measured_bytes": memory.measured}


def _batching(catalog: Catalog, name: str, number: str) -> dict[str, Any] | None:
    """What axis 0 is, whether rows share runs and why, and what was found other than declared."""
    servable = _servable(catalog, name, number)
    if servable is None:
        return None
    signature = servable.model.signature
    return {
        "rows_axis": signature.rows_axis,
        "on": signature.batch_axis,
        "reason": signature.batching,
        "remarks": list(signature.remarks),
    }


def _processes(catalog: Catalog, name: str, number: str) -> dict[str, Any] | None:
    """The processes of an isolated version that is loaded."""
    servable = _servable(catalog, name, number)
    if servable is None or not isinstance(servable.model, IsolatedModel):
        return None
    return {"pids": servable.model.pids, "deaths": servable.model.deaths}


def _servable(catalog: Catalog, name: str, number: str) -> Servable | None:
    model = catalog.models.get(name)
    return None if model is None else model.versions.get(number)


def _names(catalog: Catalog, name: str, number: str) -> dict[str, Any]:
    """What the version answers to in this worker."""
    model = catalog.models.get(name)
    if model is None:
        return {"default": False, "aliases": []}
    aliases = [alias for alias, servable in model.aliases.items() if servable.version == number]
    default = model.default is not None and model.default.version == number
    return {"default": default, "aliases": aliases}
