"""Where the versions of a model come from: run, commit, data, metrics, files, golden requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson

from penstock.monitoring.files.config_file import read_bounded
from penstock.runtimes.contract import ModelLoadError
from penstock.server.auth.tokens import OBSERVE
from penstock.server.files.roots import roots_of
from penstock.server.registry.publish_source import EXAMPLES_FILE
from penstock.server.registry.verification import read_manifest

from . import wire
from .openapi import Endpoint
from .registry_names import named_model

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.server.control.coordination.coordinator import Coordinator
    from penstock.server.registry.manifest import Manifest

    Handler = Callable[[Request, str], Awaitable[Response]]

#: Versions of an answer, the newest; and entries of params and metrics.
MAX_VERSIONS: Final = 50
_MAX_ENTRIES: Final = 50
#: Of a file of golden requests whose number is told.
_MAX_EXAMPLES_BYTES: Final = 1 << 20
_SHOW: Final = Endpoint(
    "GET", "/admin/models/{model}/lineage", "lineage", "Where its versions come from", OBSERVE
)


class LineageApi:
    """Its endpoint and who answers it.

    Args:
        coordinator: Knows the models.
        registry: The model repository.
    """

    def __init__(self, coordinator: Coordinator, registry: Path) -> None:
        self._coordinator = coordinator
        self._registry = registry

    def handlers(self) -> dict[Endpoint, Handler]:
        """For `AdminApp`."""
        return {_SHOW: self._show}

    async def _show(self, request: Request, _: str) -> Response:
        model = named_model(self._coordinator, request)
        entry = self._coordinator.planner.findings.snapshot.models[model]
        newest = sorted(entry.versions, reverse=True)[:MAX_VERSIONS]
        places = {version: entry.versions[version] for version in newest}
        found = await asyncio.to_thread(self._read, places)
        return wire.answer({"model": model, "versions": found})

    def _read(self, places: dict[int, Path]) -> list[dict[str, Any]]:
        return [self._of(version, path) for version, path in places.items()]

    def _of(self, version: int, directory: Path) -> dict[str, Any]:
        known: dict[str, Any] = {"version": version, "golden": golden_of(directory)}
        try:
            manifest = read_manifest(directory, roots_of(self._registry))
        except (ModelLoadError, OSError) as error:
            return {**known, "missing": str(error)[:500]}
        if manifest is None:
            return {**known, "missing": "no manifest; `penstock push` writes one"}
        return {**known, "missing": "", **_told(manifest)}


def _told(manifest: Manifest) -> dict[str, Any]:
    return {
        "published": manifest.created_at,
        "run": manifest.run.run_id,
        "commit": manifest.run.commit,
        "params": dict(list(manifest.run.params.items())[:_MAX_ENTRIES]),
        "data": manifest.data_hash,
        "metrics": dict(list(manifest.metrics.items())[:_MAX_ENTRIES]),
        "digest": manifest.digest,
        "files": len(manifest.files),
        "bytes": sum(one.size for one in manifest.files),
    }


def golden_of(directory: Path) -> int | None:
    """The number of golden requests of a version; ``None`` if it is not known."""
    try:
        content = orjson.loads(read_bounded(directory / EXAMPLES_FILE, _MAX_EXAMPLES_BYTES))
    except FileNotFoundError:
        return 0
    except (OSError, ValueError):
        return None
    listed = content.get("examples") if isinstance(content, dict) else content
    return len(listed) if isinstance(listed, list) else None
