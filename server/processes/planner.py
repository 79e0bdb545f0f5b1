"""Turns registry, desired state and the workers' reports into the numbered target.

Finding out what the registry holds blocks and is done in a thread; the decision is pure and quick.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.server.registry.plan import (
    Outlook,
    aspire,
    policy_versions,
    tried_version,
    wanted_versions,
)
from penstock.server.registry.repository import Problem, RegistrySnapshot
from penstock.server.registry.survey import Survey

from .target import next_target, read_target, write_target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from penstock.runtimes.contract import Signature
    from penstock.server.registry.intake import Intake, Offer
    from penstock.server.registry.plan import Standing
    from penstock.server.registry.repository import ModelEntry
    from penstock.server.registry.state import DesiredState

    from .target import Target

LOG = logging.getLogger("penstock.planner")

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of the registry.

    Attributes:
        snapshot: What it holds.
        offers: What became of each version that is wanted.
    """

    snapshot: RegistrySnapshot = field(default_factory=RegistrySnapshot)
    offers: Mapping[Key, Offer] = field(default_factory=dict)

    @property
    def waiting(self) -> bool:
        """Whether something may be taken soon without another event."""
        return any(offer.waiting for offer in self.offers.values())

    @property
    def available(self) -> dict[str, dict[int, Path]]:
        """By model, the versions that may be loaded, and where from."""
        found: dict[str, dict[int, Path]] = {}
        for (model, version), offer in sorted(self.offers.items()):
            if offer.directory is not None:
                found.setdefault(model, {})[version] = offer.directory
        return found

    @property
    def declared(self) -> dict[str, dict[int, Signature]]:
        """By model and version, the signatures that manifests promise."""
        found: dict[str, dict[int, Signature]] = {}
        for (model, version), offer in self.offers.items():
            if offer.declared is not None:
                found.setdefault(model, {})[version] = offer.declared
        return found

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What cannot be served, or not as it is."""
        root = {name: entry.path for name, entry in self.snapshot.models.items()}
        offered = (
            Problem(root[model] / str(version), offer.reason)
            for (model, version), offer in sorted(self.offers.items())
            if offer.reason
        )
        return (*self.snapshot.problems, *offered)


class Planner:
    """The present target. A new control goes on from the one its predecessor wrote.

    Args:
        registry: The model repository.
        path: Where the target is kept; workers read it, too, when they start.
        intake: Decides which versions may be loaded.
        explicit: Whether only what an operator loads is served, where ``model.toml`` does not say.

    Attributes:
        target: What every worker should serve.
        findings: What is known of the registry.
    """

    def __init__(self, registry: Path, path: Path, intake: Intake, *, explicit: bool) -> None:
        self._survey = Survey(registry)
        self._path = path
        self._intake = intake
        self._explicit = explicit
        self.target = read_target(path)
        self.findings = Findings()

    def survey(self, state: DesiredState, standings: Mapping[str, Standing]) -> Findings:
        """Look at the registry and take in what is new. Blocking; for one thread at a time.

        Raises:
            ConfigError: The registry cannot be read.
        """
        snapshot = self._survey.look()
        offers: dict[Key, Offer] = {}
        for entry in snapshot.models.values():
            self._offer(entry, state, standings, offers)
        self._intake.settle(offers)
        return Findings(snapshot, offers)

    def note(self, findings: Findings) -> None:
        """Take over what was found; new problems are logged."""
        known = set(self.findings.problems)
        self.findings = findings
        for problem in findings.problems:
            if problem not in known:
                LOG.warning("%s: %s", problem.path, problem.reason)

    def draft(self, state: DesiredState, standings: Mapping[str, Standing]) -> Target:
        """The target as it should be now; the present one if it says the same."""
        found = self.findings
        outlook = Outlook(standings, found.available, self._explicit, found.declared)
        return next_target(self.target, aspire(found.snapshot.models, state, outlook))

    def adopt(self, target: Target) -> None:
        """Make it the present one, on disk first."""
        if target is not self.target:
            write_target(self._path, target)
            self.target = target

    def _offer(
        self,
        entry: ModelEntry,
        state: DesiredState,
        standings: Mapping[str, Standing],
        offers: dict[Key, Offer],
    ) -> None:
        """Offer what the policy wants; in place of what may not be loaded, what it wants then."""
        now = state.model(entry.name)
        standing = standings.get(entry.name)
        failed: frozenset[int] = frozenset() if standing is None else standing.failed
        present = set(entry.versions)
        while True:
            by_policy = policy_versions(entry, present - failed or present, explicit=self._explicit)
            missing = [
                version
                for version in (*wanted_versions(now, by_policy), *tried_version(now))
                if (entry.name, version) not in offers
            ]
            if not missing:
                break
            for version in missing:
                directory = entry.versions.get(version, entry.path / str(version))
                offer = self._intake.offer(
                    (entry.name, version),
                    directory,
                    entry.config.platform,
                    failed=version in failed,
                )
                offers[entry.name, version] = offer
                if offer.directory is None:
                    present.discard(version)
        self._keep_failed(entry, failed, offers)

    def _keep_failed(
        self, entry: ModelEntry, failed: frozenset[int], offers: dict[Key, Offer]
    ) -> None:
        """What failed is looked at as well, to learn when its files are others."""
        for version in failed & entry.versions.keys():
            key = entry.name, version
            if key not in offers:
                offers[key] = self._intake.offer(
                    key, entry.versions[version], entry.config.platform, failed=True
                )
