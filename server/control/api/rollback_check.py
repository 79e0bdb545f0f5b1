"""Verifies a rollback on today's data: before it takes effect, the old version computes some of it.

Control loads no model: a runner of the shadow does it, a process of its own with limits. What comes
of it is a report; only a version that surely fails is refused. A rollback is the way out of a
trouble, so whatever is not known lets it go on.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.prediction_log.recent import any_since
from penstock.server.rollout.traffic import Mirror
from penstock.server.shadow.messages import Order
from penstock.server.shadow.replay import Replay
from penstock.server.shadow.runner_process import RunnerEnded, RunnerProcess, RunnerRefused
from penstock.server.target.target import Target, encode_target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.server.config.config import ServerConfig
    from penstock.server.control.coordination.coordinator import Coordinator

#: Today's data are requests of the last day.
SINCE_SECONDS: Final = 86_400.0
#: A rollback waits no longer for its verification.
DEADLINE_SECONDS: Final = 30.0
#: A version that fails at more of today's requests is not valid on them.
MOST_FAILED: Final = 0.01

#: What is known of the old version.
VALID: Final = "valid"
INVALID: Final = "invalid"
UNKNOWN: Final = "unknown"
SKIPPED: Final = "skipped"


class RollbackCheck:
    """Has recent requests computed with the version that a rollback goes back to.

    Args:
        coordinator: Knows the plan of each model.
        config: Configuration of the server.
        config_file: The same as JSON, for the process.
        deadline_seconds: Seconds that a rollback waits for it.
        wall_clock: Unix seconds.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        config: ServerConfig,
        config_file: Path,
        deadline_seconds: float = DEADLINE_SECONDS,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        assert config.state_dir is not None
        self._coordinator = coordinator
        self._state = config.state_dir / "monitor"
        self._logged = bool(config.log_max_bytes)
        self._config_file = config_file
        self._deadline_seconds = deadline_seconds
        self._wall_clock = wall_clock
        self._clock = clock
        self._one = asyncio.Lock()

    async def verify(self, model: str, version: int) -> dict[str, Any]:
        """Verify a version on today's data; never raises, and ends within its deadline.

        Args:
            model: Name of the model.
            version: That the rollback goes back to; every worker has it ready.

        Returns:
            ``state`` (`VALID`, `INVALID` or `UNKNOWN`), ``reason``, ``version``, ``serving``, and
            the report of `penstock.server.shadow.replay.replay_log`, as far as there is one.
        """
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await self._verify(model, version)
        except TimeoutError:
            late = f"it was not verified within {self._deadline_seconds:g} s"
            return {**self._about(model, version), **_unknown(late)}

    def _about(self, model: str, version: int) -> dict[str, Any]:
        plan = self._coordinator.planner.target.models.get(model)
        return {"version": version, "serving": None if plan is None else plan.default}

    async def _verify(self, model: str, version: int) -> dict[str, Any]:
        plans = self._coordinator.planner.target.models
        plan = plans.get(model)
        about = self._about(model, version)
        since = self._wall_clock() - SINCE_SECONDS
        if not self._logged:
            return {**about, **_unknown("the prediction log is off (log_max_bytes = 0)")}
        if plan is None or version not in plan.versions:
            return {**about, **_unknown("its files are not at hand")}
        try:
            asked = await asyncio.to_thread(any_since, self._state, model, since)
        except (OSError, sqlite3.Error) as error:
            return {**about, **_unknown(f"the prediction log cannot be read: {error}")}
        if not asked:
            return {**about, **_unknown("the prediction log holds no request of the last day")}
        private = (*plan.config.log.drop, *plan.config.log.hash)
        replay = Replay(str(self._state), since, plan.default or 0, private)
        mirror = Mirror("rollback", version, plan.versions[version], 0.0)
        accepted = tuple({*plan.accepted, version})  # it has served
        alone = replace(plan, split=None, mirror=mirror, accepted=accepted)
        others = {step.pin.model for step in plan.steps.get(version, ())} - {model}
        steps = {name: replace(plans[name], mirror=None) for name in others if name in plans}
        target = encode_target(Target(1, {model: alone, **steps}))
        order = Order(str(self._config_file), target, asdict(replay))
        return {**about, **await self._run(order)}

    async def _run(self, order: Order) -> dict[str, Any]:
        loaded = False
        try:
            async with self._one, RunnerProcess(order, self._clock) as runner:
                await runner.loaded()
                loaded = True
                report = await runner.report(0.0)
        except RunnerRefused as refusal:
            return _unknown(f"it cannot be loaded beside the workers: {refusal}")
        except RunnerEnded as end:
            detail = f"{end.death.reason}: {end.death.detail}"
            if loaded and end.death.blamed and end.death.reason != "memory":
                return {"state": INVALID, "reason": f"over today's requests {detail}"}
            return _unknown(f"its process ended: {detail}")
        except OSError as error:
            return _unknown(f"no process could be started: {error}")
        return {**dict(zip(("state", "reason"), conclude(report), strict=True)), **report}


def conclude(report: dict[str, Any]) -> tuple[str, str]:
    """The verdict on a report, with its reason. Pure.

    Args:
        report: As `penstock.server.shadow.replay.replay_log` makes it.
    """
    requests = report["requests"]
    if not requests:
        return UNKNOWN, report["note"] or "the prediction log holds no request of the last day"
    bad = report["failed"] + report["invalid"]
    if bad > MOST_FAILED * requests:
        errors = f": {'; '.join(report['errors'])}" if report["errors"] else ""
        return INVALID, (
            f"it fails at {report['failed']} of {requests} requests of the last day, and answers "
            f"{report['invalid']} with NaN or infinity{errors}"
        )
    return VALID, f"it answers {requests - bad} of {requests} requests of the last day"


def skipped(version: int) -> dict[str, Any]:
    """The verification of a rollback that was forced."""
    return {"state": SKIPPED, "reason": "forced", "version": version}


def _unknown(reason: str) -> dict[str, Any]:
    return {"state": UNKNOWN, "reason": reason}
