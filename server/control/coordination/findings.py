"""The result of a scan of the registry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.server.registry.repository import Problem, RegistrySnapshot

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from penstock.runtimes.contract import Signature
    from penstock.server.gates.gate_order import GatedVersion
    from penstock.server.pipelines.pins import Pin
    from penstock.server.registry.intake_result import IntakeResult

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of a scan of the registry.

    Attributes:
        snapshot: The content of the registry.
        results: The intake's result for each wanted version.
        pins: By model and version, the pins of the pipelines among these.
        unanswered: Versions whose gates must be run, with the question.
    """

    snapshot: RegistrySnapshot = field(default_factory=RegistrySnapshot)
    results: Mapping[Key, IntakeResult] = field(default_factory=dict)
    pins: Mapping[str, Mapping[int, tuple[Pin, ...]]] = field(default_factory=dict)
    unanswered: Mapping[Key, tuple[GatedVersion, str]] = field(default_factory=dict)

    @property
    def waiting(self) -> bool:
        """Whether a version may become available soon without another event."""
        return bool(self.waiting_keys)

    @property
    def waiting_keys(self) -> frozenset[Key]:
        """The versions that may become available soon."""
        return frozenset(key for key, result in self.results.items() if result.waiting)

    @property
    def available(self) -> dict[str, dict[int, Path]]:
        """The versions that may be loaded, by model, with their directories."""
        found: dict[str, dict[int, Path]] = {}
        for (model, version), result in sorted(self.results.items()):
            if result.directory is not None:
                found.setdefault(model, {})[version] = result.directory
        return found

    @property
    def declared(self) -> dict[str, dict[int, Signature]]:
        """The signatures that manifests promise, by model and version."""
        found: dict[str, dict[int, Signature]] = {}
        for (model, version), result in self.results.items():
            if result.declared is not None:
                found.setdefault(model, {})[version] = result.declared
        return found

    @property
    def configs(self) -> dict[str, str]:
        """The digest of each model's configuration."""
        return {name: one.config_digest for name, one in self.snapshot.models.items()}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Models and versions that cannot be served, or not as configured."""
        root = {name: entry.path for name, entry in self.snapshot.models.items()}
        offered = (
            Problem(root[model] / str(version), result.reason)
            for (model, version), result in sorted(self.results.items())
            if result.reason
        )
        return (*self.snapshot.problems, *offered)
