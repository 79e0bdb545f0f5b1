"""Where the versions of a model come from: run, commit, data, metrics, files, golden requests."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson

from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.stamp import Stamp, stamp_of
from penstock.runtimes.contract import ModelLoadError
from penstock.server.auth.tokens import OBSERVE
from penstock.server.files.roots import roots_of
from penstock.server.registry.manifest import MANIFEST_FILE
from penstock.server.registry.publish_source import EXAMPLES_FILE
from penstock.server.registry.verification import read_manifest

from . import wire
from .openapi import Endpoint
from .registry_names import named_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.server.control.coordination.coordinator import Coordinator
    from penstock.server.registry.manifest import Manifest

    from .routes import Handler

T = TypeVar("T")

#: Versions of an answer, the newest; and entries of params and metrics.
MAX_VERSIONS: Final = 50
_MAX_ENTRIES: Final = 50
#: Characters of a text.
_MAX_TEXT: Final = 1000
#: Versions whose files are not read again while they are the same: an open page of a model asks
#: every two seconds.
_MAX_KEPT: Final = 256
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
        self._told = lru_cache(_MAX_KEPT)(self._read)  # errors are not kept

    def handlers(self) -> dict[Endpoint, Handler]:
        """For `AdminApp`."""
        return {_SHOW: self._show}

    async def _show(self, request: Request, _: str) -> Response:
        model = named_model(self._coordinator, request)
        entry = self._coordinator.planner.findings.snapshot.models[model]
        newest = sorted(entry.versions, reverse=True)[:MAX_VERSIONS]
        places = {version: entry.versions[version] for version in newest}
        found = await asyncio.to_thread(self.lineage_of, places)
        return wire.answer({"model": model, "versions": found})

    def lineage_of(self, places: dict[int, Path]) -> list[dict[str, Any]]:
        """What is told of versions, whose directories are given. Reads files."""
        return [self._of(version, path) for version, path in places.items()]

    def _of(self, version: int, directory: Path) -> dict[str, Any]:
        known: dict[str, Any] = {"version": version, "golden": golden_of(directory)}
        try:
            told = self._told(directory, stamp_of(directory / MANIFEST_FILE))
        except (ModelLoadError, OSError) as error:
            return {**known, "missing": str(error)[:500]}
        if told is None:
            return {**known, "missing": "no manifest; `penstock push` writes one"}
        return {**known, "missing": "", **told}

    def _read(self, directory: Path, _: Stamp | None) -> dict[str, Any] | None:
        manifest = read_manifest(directory, roots_of(self._registry))
        return None if manifest is None else _facts(manifest)


def _facts(manifest: Manifest) -> dict[str, Any]:
    return {
        "published": _short(manifest.created_at),
        "run": _short(manifest.run.run_id),
        "commit": _short(manifest.run.commit),
        "params": {_short(name): _short(one) for name, one in _first(manifest.run.params)},
        "data": _short(manifest.data_hash),
        "metrics": {_short(name): one for name, one in _first(manifest.metrics)},
        "digest": manifest.digest,
        "files": len(manifest.files),
        "bytes": manifest.total_bytes,
    }


def _first(entries: Mapping[str, T]) -> Iterable[tuple[str, T]]:
    return islice(entries.items(), _MAX_ENTRIES)


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"


def golden_of(directory: Path) -> int | None:
    """The number of golden requests of a version; ``None`` if it is not known."""
    path = directory / EXAMPLES_FILE
    try:
        return _counted(path, stamp_of(path))
    except FileNotFoundError:
        return 0
    except (OSError, ValueError):
        return None


@lru_cache(_MAX_KEPT)
def _counted(path: Path, _: Stamp | None) -> int | None:
    content = orjson.loads(read_bounded(path, _MAX_EXAMPLES_BYTES))
    listed = content.get("examples") if isinstance(content, dict) else content
    return len(listed) if isinstance(listed, list) else None
