"""The planner: makes the numbered target of the registry, the desired state and the reports.

The scan of the registry blocks and runs in a thread; the decision is pure and quick.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from penstock.server.gates.gate_order import GatedVersion
from penstock.server.gates.version_admission import Gated, VersionAdmission
from penstock.server.pipelines.pin_reader import PinReader
from penstock.server.registry.intake_result import Candidate
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

from .findings import Findings
from .quarantine import Quarantine

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from penstock.server.desired_state.state import DesiredState
    from penstock.server.files.roots import Roots
    from penstock.server.pipelines.pins import Pin
    from penstock.server.registry.good_configs import GoodConfigs
    from penstock.server.registry.intake import Intake
    from penstock.server.registry.intake_result import IntakeResult
    from penstock.server.registry.repository import ModelEntry, Problem, RegistrySnapshot
    from penstock.server.target.plan import Standing
    from penstock.server.target.target import Target

LOG = logging.getLogger("penstock.planner")

Key = tuple[str, int]

_FIGURES: Final = re.compile(r"\d+(\.\d+)?")


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
        admission: Holds versions that have not shown what they must; by default in memory.

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
        admission: VersionAdmission | None = None,
    ) -> None:
        self.quarantine = quarantine or Quarantine(None)
        self.admission = admission or VersionAdmission()
        self._pins = PinReader()
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
        current = _Pass(snapshot.roots, served, state)
        for entry in snapshot.models.values():
            self._offer(entry, state, standings.get(entry.name, UNKNOWN), current)
        pins = self._offer_steps(snapshot, standings, current)
        try:
            self._intake.settle(current.results)
        except OSError as error:
            LOG.warning("what was taken in cannot be remembered: %s", error)
        return Findings(snapshot, current.results, pins, current.unanswered)

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
            pins=found.pins,
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

    def _offer_steps(
        self, snapshot: RegistrySnapshot, standings: Mapping[str, Standing], current: _Pass
    ) -> dict[str, dict[int, tuple[Pin, ...]]]:
        """Pass the versions that run steps of pipelines to the intake; returns the pins.

        A pipeline whose gates are to be run needs its steps, too.
        """
        found: dict[str, dict[int, tuple[Pin, ...]]] = {}
        places = {
            key: (result.directory, result.digest)
            for key, result in current.results.items()
            if result.directory is not None
        }
        held = {key: (one.directory, one.digest) for key, (one, _) in current.unanswered.items()}
        for (model, version), place in {**places, **held}.items():
            if pins := self._pins.read(*place):
                if (model, version) in places:
                    found.setdefault(model, {})[version] = pins
                for pin in pins:
                    entry = snapshot.models.get(pin.model)
                    if entry is not None and (pin.model, pin.version) not in current.results:
                        self._take(entry, pin.version, standings.get(pin.model, UNKNOWN), current)
        self._pins.keep({*places.values(), *held.values()})
        return found

    def _take(
        self, entry: ModelEntry, version: int, standing: Standing, current: _Pass
    ) -> IntakeResult:
        key = entry.name, version
        candidate = Candidate(
            key,
            entry.versions.get(version, entry.path / str(version)),
            entry.config.platform,
            current.roots,
            failed=version in standing.failed,
            broken=version in standing.broken,
            served=key in current.served,
        )
        result = self._through_gates(entry, version, self._intake.assess(candidate), current)
        current.results[key] = result
        return result

    def _through_gates(
        self, entry: ModelEntry, version: int, result: IntakeResult, current: _Pass
    ) -> IntakeResult:
        """The result of the intake, or that of a version that is held by a gate."""
        if result.directory is None:
            return result
        plan = self.target.models.get(entry.name)
        subject = GatedVersion(version, result.directory, result.digest, result.declared)
        hold = self.admission.hold(
            Gated(
                entry.name,
                entry.path,
                entry.config.gates,
                subject,
                current.state.model(entry.name).approvals,
                loaded=plan is not None and plan.versions.get(version) == result.directory,
            )
        )
        if hold is None:
            return result
        if hold.question:
            current.unanswered[entry.name, version] = subject, hold.question
        waiting = bool(hold.question)
        return replace(result, directory=None, reason=hold.reason, waiting=waiting)


@dataclass(frozen=True, slots=True)
class _Pass:
    """One pass over the wanted versions."""

    roots: Roots
    served: Collection[Key]
    state: DesiredState
    results: dict[Key, IntakeResult] = field(default_factory=dict)
    unanswered: dict[Key, tuple[GatedVersion, str]] = field(default_factory=dict)


def _gist(problem: Problem) -> tuple[Path, str]:
    """A problem without its figures, which may change with each scan."""
    return problem.path, _FIGURES.sub("", problem.reason)
