"""The answer of ``GET /admin/status``, gathered from all that tells of the server."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .log_status import log_status
from .monitor_client import Monitored
from .monitor_state import add_monitored
from .rollout_report import summary
from .status import process_problems, status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from penstock.server.control.coordination.coordinator import Coordinator
    from penstock.server.control.coordination.exposition import Exposition
    from penstock.server.control.coordination.rollout_controller import Progress
    from penstock.server.processes.restart_history import ProcessHistory

    from .audit_history import AuditHistory
    from .traffic import TrafficWindow


async def _nobody_asked() -> Monitored:
    return Monitored(problem="there is no monitor")


class StatusAnswer:
    """Makes the answer.

    Args:
        coordinator: Target, desired state and workers.
        audit_history: Latest records of the audit log.
        traffic: Figures of the last minute.
        exposition: Merged metrics.
        about: Of the server.
        clock: Unix seconds.

    Attributes:
        progress: Gives the state of the last rollout of a model.
        histories: Gives the deaths of each process.
        problems: Each gives what is wrong with a part of the server.
        of_models: Each gives something about a model, by its key in the model's status.
        incidents: Errors in control that no caller was told of.
        monitored: Asks the monitor for drift and labels.
        sample_rate: Share of requests that are sampled.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        audit_history: AuditHistory,
        traffic: TrafficWindow,
        exposition: Exposition,
        about: Mapping[str, Any],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._coordinator = coordinator
        self._audit_history = audit_history
        self._traffic = traffic
        self._exposition = exposition
        self._about = about
        self._clock = clock
        self.progress: Callable[[str], Progress | None] = lambda _: None
        self.histories: Callable[[], tuple[ProcessHistory, ...]] = tuple
        self.problems: list[Callable[[], list[dict[str, str]]]] = []
        self.of_models: dict[str, Callable[[str], Any]] = {}
        self.incidents: Callable[[], list[dict[str, Any]]] = list
        self.monitored: Callable[[], Awaitable[Monitored]] = _nobody_asked
        self.sample_rate = 1.0

    async def answer(self) -> dict[str, Any]:
        """The whole answer."""
        figures = await self._traffic.now()
        sampled = self.sample_rate > 0  # otherwise there is no monitor
        monitored = await self.monitored() if sampled else Monitored()
        merged = await self._exposition.figures()
        histories, now = self.histories(), self._clock()
        content = status(self._coordinator, self._audit_history, figures, now)
        for model in content["models"]:
            progress = self.progress(model["name"])
            model["rollout"] = None if progress is None else summary(progress)
            model |= {key: of(model["name"]) for key, of in self.of_models.items()}
        add_monitored(content["models"], monitored, self._watched, self.sample_rate, now)
        content["monitor"] = {
            "answers": sampled and not monitored.problem,
            "problem": monitored.problem,
        }
        content["processes"] = [asdict(history) for history in histories]
        content["log"] = log_status(merged)
        content["problems"] += [
            {"path": history.process, "reason": trouble}
            for history in histories
            if (trouble := history.trouble(now))
        ]
        content["problems"] += [one for problems in self.problems for one in problems()]
        workers = self._coordinator.fleet.workers.values()
        content["problems"] += process_problems(workers, self.incidents(), now)
        return {**self._about, **content}

    def index(self) -> list[dict[str, Any]]:
        """The models with their versions and states, without figures."""
        found = status(self._coordinator, self._audit_history, {}, self._clock())
        models: list[dict[str, Any]] = found["models"]
        return models

    def _watched(self, model: str) -> bool:
        plan = self._coordinator.planner.target.models.get(model)
        return plan is None or plan.config.monitoring.drift
