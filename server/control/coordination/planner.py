"""The planner: makes the numbered target of the registry, the desired state and the reports.

The scan of the registry blocks and runs in a thread; the decision is pure and quick.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from penstock.server.registry.intake_result import Candidate
from penstock.server.registry.repository import Problem, RegistrySnapshot
from penstock.server.registry.survey import Survey
from penstock.server.target.plan import (
    UNKNOWN,
    Outlook,
    aspire,
    policy_versions,
    tried_version,
    wanted_versions,
)
from penstock.server.target.target import next_target, read_target, write_target

from .quarantine import Quarantine

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from penstock.runtimes.contract import Signature
    from penstock.server.desired_state.state import DesiredState
    from penstock.server.files.roots import Roots
    from penstock.server.registry.good_configs import GoodConfigs
    from penstock.server.registry.intake import Intake
    from penstock.server.registry.intake_result import IntakeResult
    from penstock.server.registry.repository import ModelEntry
    from penstock.server.target.plan import Standing
    from penstock.server.target.target import Target

LOG = logging.getLogger("penstock.planner")

Key = tuple[str, int]

_FIGURES: Final = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of a scan of the registry.

    Attributes:
        snapshot: The content of the registry.
        results: The intake's result for each wanted version.
    """

    snapshot: RegistrySnapshot = field(default_factory=RegistrySnapshot)
    results: Mapping[Key, IntakeResult] = field(default_factory=dict)

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


class Planner:
    """Holds the present target; a new control process continues from the written target.

    Args:
        registry: The model repository.
        path: File of the target; workers read it, too, when they start.
        intake: Decides which versions may be loaded.
        explicit: Whether only versions that an operator loads are served, as a default for models.
        allowed: Directories beside the registry in which its links may end.
        good: The last good configurations of the models.
        quarantine: Versions that are out of service; by default none.

    Attributes:
        target: The target of every worker.
        findings: The result of the last scan.
    """

    def __init__(
        self,
        registry: Path,
        path: Path,
        intake: Intake,
        *,
        explicit: bool,
        allowed: Iterable[Path] = (),
        good: GoodConfigs | None = None,
        quarantine: Quarantine | None = None,
    ) -> None:
        self.quarantine = quarantine or Quarantine(None)
        self._survey = Survey(registry, allowed=allowed, good=good)
        self._path = path
        self._intake = intake
        self._explicit = explicit
        self.target = read_target(path)
        self.findings = Findings()
        self._retried = {
            name: dict(plan.retried) for name, plan in self.target.models.items() if plan.retried
        }

    def retry(self, model: str, version: int, now: float) -> None:
        """Make workers try a failed version again.

        Args:
            model: Its model.
            version: The version.
            now: Unix seconds.
        """
        self._retried.setdefault(model, {})[version] = now
        self.quarantine.release(model, version)

    def pardoned(self) -> dict[tuple[str, str], float]:
        """The last time an operator asked to try a version again, by model and version as text."""
        return {
            (model, str(version)): at
            for model, versions in self._retried.items()
            for version, at in versions.items()
        }

    def survey(
        self,
        state: DesiredState,
        standings: Mapping[str, Standing],
        served: Collection[Key] = frozenset(),
    ) -> Findings:
        """Scan the registry, and pass wanted versions to the intake. Blocking; for one thread.

        Args:
            state: The desired state.
            standings: The states of the versions of each model.
            served: Versions that have answered a request.

        Raises:
            ConfigError: The registry cannot be read.
        """
        snapshot = self._survey.look()
        current = _Pass(snapshot.roots, served)
        for entry in snapshot.models.values():
            self._offer(entry, state, standings.get(entry.name, UNKNOWN), current)
        try:
            self._intake.settle(current.results)
        except OSError as error:
            LOG.warning("what was taken in cannot be remembered: %s", error)
        return Findings(snapshot, current.results)

    def note(self, findings: Findings) -> None:
        """Take over the findings; a problem is logged once, also if its figures grow."""
        known = set(map(_gist, self.findings.problems))
        self.findings = findings
        for problem in findings.problems:
            if _gist(problem) not in known:
                LOG.warning("%s: %s", problem.path, problem.reason)

    def draft(self, state: DesiredState, standings: Mapping[str, Standing]) -> Target:
        """The target as it should be now; the present target if the two are equal."""
        found = self.findings
        outlook = Outlook(
            standings,
            found.available,
            self._explicit,
            found.declared,
            self._retried,
            self._quarantined(),
            held={name: plan.versions.keys() for name, plan in self.target.models.items()},
        )
        return next_target(self.target, aspire(found.snapshot.models, state, outlook))

    def _quarantined(self) -> dict[str, dict[int, str]]:
        kept: dict[str, dict[int, str]] = {}
        for (model, version), result in self.findings.results.items():
            reason = self.quarantine.reason(model, version, result.digest)
            if reason:
                kept.setdefault(model, {})[version] = reason
        return kept

    def adopt(self, target: Target) -> None:
        """Make it the present target, on disk first."""
        if target is not self.target:
            try:
                write_target(self._path, target)
            except OSError as error:
                # Running workers get it by their link; a starting worker waits for control.
                LOG.error("%s cannot be written: %s", self._path, error.strerror or error)  # noqa: TRY400  one line says it
            self.target = target

    def _offer(
        self, entry: ModelEntry, state: DesiredState, standing: Standing, current: _Pass
    ) -> None:
        """Pass the wanted versions to the intake, and replacements for unusable ones."""
        now = state.model(entry.name)
        present = set(entry.versions)
        while True:
            sound = present - standing.failed or present
            by_policy = policy_versions(entry, sound, explicit=self._explicit)
            missing = [
                version
                for version in (*wanted_versions(now, by_policy), *tried_version(now))
                if (entry.name, version) not in current.results
            ]
            if not missing:
                break
            for version in missing:
                if self._take(entry, version, standing, current).directory is None:
                    present.discard(version)
        # Failed versions are passed, too, so that a change of their files is noticed.
        for version in standing.failed & entry.versions.keys():
            if (entry.name, version) not in current.results:
                self._take(entry, version, standing, current)

    def _take(
        self, entry: ModelEntry, version: int, standing: Standing, current: _Pass
    ) -> IntakeResult:
        key = entry.name, version
        result = current.results[key] = self._intake.assess(
            Candidate(
                key,
                entry.versions.get(version, entry.path / str(version)),
                entry.config.platform,
                current.roots,
                failed=version in standing.failed,
                broken=version in standing.broken,
                served=key in current.served,
            )
        )
        return result


@dataclass(frozen=True, slots=True)
class _Pass:
    """One pass over the wanted versions."""

    roots: Roots
    served: Collection[Key]
    results: dict[Key, IntakeResult] = field(default_factory=dict)


def _gist(problem: Problem) -> tuple[Path, str]:
    """A problem without its figures, which may change with each scan."""
    return problem.path, _FIGURES.sub("", problem.reason)
