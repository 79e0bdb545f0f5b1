"""Builds the retraining of all models that have one."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.monitoring.alerts.mutes import MUTES_FILE
from penstock.server.control.api.retrain_api import RetrainApi, told
from penstock.server.control.coordination.open_incidents import OpenIncidents
from penstock.server.control.coordination.retrain_metrics import RetrainMetrics
from penstock.server.control.coordination.retrain_runs import RetrainRuns
from penstock.server.control.coordination.retrain_surroundings import RetrainSurroundings
from penstock.server.control.coordination.retrained_versions import RetrainedVersions
from penstock.server.control.coordination.retrainer import Retrainer
from penstock.server.control.coordination.standing_alerts import StandingAlerts, StandingKind
from penstock.server.monitor.alert_setup import ALERTS_DATABASE
from penstock.server.retrain.retrain_file import FILE, RetrainFile
from penstock.server.retrain.run import Phase
from penstock.server.retrain.targets.selection import target_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.server.config.config import ServerConfig
    from penstock.server.control.api.app import AdminApp
    from penstock.server.control.coordination.coordinator import Coordinator

FAILED: Final = StandingKind(
    "retraining.failed", "", "warning", "a later retraining of {model} ended well"
)
#: In the state directory: the runs of commands.
COMMANDS: Final = "retrain"
_TOKEN_BYTES: Final = 4


class Retraining:
    """All retrainings of the control process.

    Args:
        config: Configuration of the server.
        coordinator: Knows the versions, and keeps the audit log.
        clock: Unix seconds.
    """

    def __init__(
        self,
        config: ServerConfig,
        coordinator: Coordinator,
        clock: Callable[[], float] = time.time,
    ) -> None:
        assert config.state_dir is not None
        state, monitor = config.state_dir, config.state_dir / "monitor"
        self._file = RetrainFile(state / FILE)
        database = monitor / ALERTS_DATABASE
        self._alerts = StandingAlerts(AlertStore(database), FAILED, clock)
        around = RetrainSurroundings(
            coordinator,
            OpenIncidents(database, monitor / MUTES_FILE),
            RetrainedVersions(coordinator, config.registry),
            config.on_push,
            monitor,
            clock,
            lambda: secrets.token_hex(_TOKEN_BYTES),
        )
        self._retrainers: dict[str, Retrainer] = {}
        for one in config.retrain:
            runs = RetrainRuns(one.model, self._file, coordinator.store, clock)
            runs.on_change = self._tell
            target = target_of(one, state / COMMANDS / one.model, clock)
            self._retrainers[one.model] = Retrainer(one, target, runs, around)
        self.metrics = RetrainMetrics(self._retrainers)

    async def run(self) -> None:
        """Work for all models until cancelled."""
        self._tell()
        try:
            async with asyncio.TaskGroup() as all_of_them:
                all_of_them.create_task(self._alerts.run())
                for one in self._retrainers.values():
                    all_of_them.create_task(one.run())
        finally:
            for one in self._retrainers.values():
                one.close()

    def attach(self, app: AdminApp) -> None:
        """Have the app run this, and show it."""
        app.status.problems.append(self._problems)
        app.status.of_models["retraining"] = self._told
        app.works["retraining"] = self.run

    def handlers(self) -> dict[Any, Any]:
        """The endpoints, with their handlers."""
        return RetrainApi(self._retrainers).handlers()

    def _problems(self) -> list[dict[str, str]]:
        found = [("retrain", self._file.problem)] if self._file.problem else []
        for model, one in self._retrainers.items():
            last = one.runs.known.last
            if last is not None and last.problem:
                found.append((f"retrain of {model}", f"{last.id}: {last.problem}"))
        return [{"path": path, "reason": reason} for path, reason in found]

    def _told(self, model: str) -> dict[str, Any] | None:
        one = self._retrainers.get(model)
        return None if one is None else told(one)

    def _tell(self) -> None:
        """Bring the alerts in line: one is open from a failure until a run ends well."""
        failed = {}
        for model, one in self._retrainers.items():
            ended = [run for run in one.runs.known.runs if run.final]
            if ended and ended[-1].phase is Phase.FAILED:
                failed[model, ""] = f"the retraining {ended[-1].id} failed: {ended[-1].problem}"
        self._alerts.note(failed)
