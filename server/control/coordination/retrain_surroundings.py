"""What a retraining looks at: the version that serves, its age, open alerts, other trials."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from penstock.server.config.version_policy import CANARY
from penstock.server.desired_state.rollout_state import in_progress
from penstock.server.retrain.decision import Decision, Snapshot
from penstock.server.retrain.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.server.retrain.retrain_file import ModelRuns

    from .coordinator import Coordinator
    from .open_incidents import OpenIncidents
    from .retrained_versions import RetrainedVersions

_MOST_NAME: Final = 80


@dataclass(frozen=True, slots=True)
class RetrainSurroundings:
    """The rest of the server, as a retraining sees it.

    Attributes:
        coordinator: Knows the versions that serve.
        incidents: Open alerts.
        versions: Which versions came of which run, and how old they are.
        on_push: Of the server, for models that do not say.
        monitor: ``STATE_DIR/monitor``.
        clock: Unix seconds.
        token: Gives a text that names a run, and no other.
    """

    coordinator: Coordinator
    incidents: OpenIncidents
    versions: RetrainedVersions
    on_push: str
    monitor: Path
    clock: Callable[[], float]
    token: Callable[[], str]

    def serving(self, model: str) -> int | None:
        """The version that serves."""
        plan = self.coordinator.planner.target.models.get(model)
        return None if plan is None else plan.default

    async def snapshot(self, model: str, known: ModelRuns, now: float) -> Snapshot:
        """What a decision about a model rests on.

        Args:
            model: Name of the model.
            known: Its runs.
            now: Unix seconds.
        """
        version, published = self.serving(model), None
        if version is not None:
            published = await asyncio.to_thread(self.versions.published_at, model, version)
        incidents = await asyncio.to_thread(self.incidents.of, model, now)
        trial = self._on_trial(model, known.last)
        return Snapshot(version, published, trial, incidents, known.since, known.last)

    def _on_trial(self, model: str, last: Run | None) -> bool:
        """Whether a version is on trial, or what the last run made will be by itself."""
        state, planner = self.coordinator.store.state.model(model), self.coordinator.planner
        if in_progress(state) is not None:
            return True
        if any(key[0] == model for key in planner.findings.unanswered):
            return True  # its gates are being run
        plan, result = planner.target.models.get(model), 0 if last is None else last.result
        offered = planner.findings.results.get((model, result))
        if plan is None or offered is None or result <= state.tried:
            return False
        canary = (plan.config.on_push or self.on_push) == CANARY
        return canary and (offered.waiting or offered.directory is not None)

    def new_run(self, model: str, version: int, found: Decision, by: str) -> Run:
        """The run that a decision begins.

        Args:
            model: Name of the model.
            version: The version that serves.
            found: The decision.
            by: Who asked for it.
        """
        now = self.clock()
        findings = self.coordinator.planner.findings
        result = findings.results.get((model, version))
        entry = findings.snapshot.models.get(model)
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        return Run(
            id=f"{model[:_MOST_NAME]}-{stamp}-{self.token()}",
            model=model,
            version=version,
            digest="" if result is None else result.digest,
            trigger=found.trigger,
            reason=found.reason,
            incident=found.incident,
            by=by,
            newest=version if entry is None else max(entry.versions, default=version),
            decided_at=now,
        )
