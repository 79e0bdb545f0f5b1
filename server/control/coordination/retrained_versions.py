"""Which version came of which run of a retraining, and how old a version is: by the manifests."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from penstock.server.registry.lineage import lineage

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from penstock.server.registry.manifest import Manifest
    from penstock.server.retrain.run import Run

    from .coordinator import Coordinator

#: Parameter of a manifest's run that names the retraining that made the version.
PARAMETER: Final = "retraining"
#: Versions whose manifests are remembered.
_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class RetrainedVersion:
    """A version that a run has made.

    Attributes:
        version: Its number.
        digest: Of its files.
        data_hash: Of the data that it was trained with, as its push says.
    """

    version: int
    digest: str
    data_hash: str


class RetrainedVersions:
    """Reads the manifests of the versions in the registry. Blocking.

    Args:
        coordinator: Knows the versions.
        registry: The model repository.
    """

    def __init__(self, coordinator: Coordinator, registry: Path) -> None:
        self._coordinator = coordinator
        self._registry = registry
        self._manifests: dict[tuple[str, int], Manifest] = {}

    def of_runs(self, model: str, runs: Collection[Run]) -> dict[str, RetrainedVersion]:
        """By the id of each run of a model, the newest version that names it; without the others.

        Args:
            model: Name of the model.
            runs: Runs of it.
        """
        entry = self._coordinator.planner.findings.snapshot.models.get(model)
        newest = {one.id: one.newest for one in runs}
        least = min(newest.values(), default=0)
        found: dict[str, RetrainedVersion] = {}
        for version in sorted(entry.versions if entry is not None else (), reverse=True):
            if version <= least:
                break
            manifest = self._manifest(model, version)
            run = "" if manifest is None else manifest.run.params.get(PARAMETER, "")
            if manifest is not None and run not in found and version > newest.get(run, version):
                found[run] = RetrainedVersion(version, manifest.digest, manifest.data_hash)
        return found

    def published_at(self, model: str, version: int) -> float | None:
        """When a version was published, Unix seconds; ``None`` if its manifest does not say."""
        manifest = self._manifest(model, version)
        if manifest is not None:
            with suppress(ValueError):
                found = datetime.fromisoformat(manifest.created_at)
                return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        return None

    def _manifest(self, model: str, version: int) -> Manifest | None:
        """The manifest of a version. A published version never changes, so it is read once."""
        key = (model, version)
        found = self._manifests.get(key)
        if found is None:
            found = lineage(self._registry, model, version).manifest
            if found is not None:
                while len(self._manifests) >= _MOST:
                    del self._manifests[next(iter(self._manifests))]
                self._manifests[key] = found
        return found
