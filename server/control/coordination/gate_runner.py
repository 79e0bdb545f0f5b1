"""Runs the gates of versions, one version after the other, in processes of their own."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from penstock.server.desired_state.audit_record import AuditEvent
from penstock.server.errors import Unavailable
from penstock.server.gates.gate_order import GatedVersion, GateOrder
from penstock.server.gates.gate_process import gate_report
from penstock.server.pipelines.pin_reader import pins_of
from penstock.server.registry.lineage import lineage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from penstock.server.config.config import ServerConfig
    from penstock.server.gates.gate_report import GateReport
    from penstock.server.isolation.child_process import ChildProcess

    from .coordinator import Coordinator, Unanswered

LOG = logging.getLogger("penstock.gates")
_ACTOR: Final = "gates"
#: After no process could be started.
_PAUSE_SECONDS: Final = 1.0


class GateRunner:
    """Answers the open questions of the admission.

    Args:
        config: Configuration of the server.
        coordinator: Knows the versions, and scans again when a report is there.
        sleep: Waits the given seconds.
    """

    def __init__(
        self,
        config: ServerConfig,
        coordinator: Coordinator,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sleep = sleep
        self._config = config
        self._coordinator = coordinator
        self._unanswered: Unanswered = {}
        self._asked = asyncio.Event()
        self._child: ChildProcess | None = None
        coordinator.on_unanswered = self._note

    async def run(self) -> None:
        """Run gates until cancelled."""
        # The kernel ends a child with the thread that made it: this one stays.
        executor = ThreadPoolExecutor(1, "penstock-gates")
        try:
            while True:
                await self._asked.wait()
                self._asked.clear()
                orders = (self._order(*key, *one) for key, one in sorted(self._unanswered.items()))
                order = next((one for one in orders if one is not None), None)
                if order is not None:
                    loop = asyncio.get_running_loop()
                    await self._take(await loop.run_in_executor(executor, self._run, order))
                    self._coordinator.look_soon()
        finally:
            child = self._child
            if child is not None:
                child.kill()
            executor.shutdown(wait=False, cancel_futures=True)

    def _note(self, unanswered: Unanswered) -> None:
        self._unanswered = unanswered
        if unanswered:
            self._asked.set()

    def _order(
        self, model: str, version: int, subject: GatedVersion, question: str
    ) -> GateOrder | None:
        planner = self._coordinator.planner
        entry = planner.findings.snapshot.models.get(model)
        known = planner.admission.report(model, version)
        if entry is None or (known is not None and known.question == question):
            return None  # the scan that asked began before the report was there
        results = planner.findings.results
        keys = {(pin.model, pin.version) for pin in pins_of(subject.directory)} & results.keys()
        if any(results[key].waiting for key in keys):
            return None  # the next scan asks again
        manifest = lineage(self._config.registry, model, version).manifest
        return GateOrder(
            model,
            entry.path,
            entry.config,
            subject,
            self._incumbent(model, version),
            {} if manifest is None else manifest.about,
            question,
            {key: place for key in keys if (place := results[key].directory) is not None},
        )

    def _incumbent(self, model: str, version: int) -> GatedVersion | None:
        """The version that answers now."""
        planner = self._coordinator.planner
        plan = planner.target.models.get(model)
        default = None if plan is None else plan.default
        if plan is None or default is None or default == version:
            return None
        directory = plan.versions.get(default)
        result = planner.findings.results.get((model, default))
        if directory is None:
            return None
        digest = "" if result is None else result.digest
        return GatedVersion(default, directory, digest, plan.declared.get(default))

    def _run(self, order: GateOrder) -> GateReport | None:
        LOG.info("%s version %d: running its gates", order.model, order.subject.version)
        try:
            return gate_report(self._config, order, started=self._started)
        except OSError as error:
            LOG.error("%s: no process for gates could be started: %s", order.model, error)  # noqa: TRY400  one line says it
            return None
        finally:
            self._child = None

    def _started(self, child: ChildProcess) -> None:
        self._child = child

    async def _take(self, report: GateReport | None) -> None:
        """Put a report on record, then in force."""
        if report is None:
            await self._sleep(_PAUSE_SECONDS)  # there is no room for a process now
            return
        LOG.info(
            "%s version %d: %s",
            report.model,
            report.version,
            report.reason or f"all {len(report.results)} gates passed",
        )
        event = AuditEvent(
            "gates.run",
            _ACTOR,
            report.model,
            reason=report.reason or "every gate passed",
            evidence=_evidence(report),
        )
        store = self._coordinator.store
        try:
            await asyncio.to_thread(store.note, replace(event, generation=store.state.generation))
        except Unavailable as error:
            LOG.error("the report of %s is not on record: %s", report.model, error.message)  # noqa: TRY400  one line says it
        await asyncio.to_thread(self._coordinator.planner.admission.note, report)


def _evidence(report: GateReport) -> Mapping[str, Any]:
    return {
        "version": report.version,
        "digest": report.digest,
        "incumbent": report.incumbent,
        "data": report.data,
        "gates": {one.gate: one.verdict for one in report.results},
    }
