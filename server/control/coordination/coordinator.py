"""The coordinator: scans the registry, plans the target, and sends it to the workers.

Each change of the target passes here, one at a time: changes of the registry, commands of
operators, and reports of workers.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

from penstock.batching.contained import contained
from penstock.server.desired_state.audit_record import AuditEvent
from penstock.server.desired_state.store import ACTOR
from penstock.server.errors import Unavailable
from penstock.server.files.config_error import ConfigError
from penstock.server.processes.priority import lower_priority

from .answering import Answering
from .watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence

    from penstock.server.config.config import ServerConfig
    from penstock.server.desired_state.state import DesiredState
    from penstock.server.desired_state.store import StateStore
    from penstock.server.gates.gate_order import GatedVersion
    from penstock.server.registry.repository import Problem
    from penstock.server.target.plan import Standing
    from penstock.server.target.target import Target

    from .fleet import Fleet
    from .planner import Planner

    Unanswered = Mapping[tuple[str, int], tuple[GatedVersion, str]]
    #: A state, and its audit record; ``None`` if nothing changes.
    Changed = tuple[DesiredState, AuditEvent | None]
    #: A function of the present state and the versions of a model that every worker serves.
    Change = Callable[[DesiredState, frozenset[int]], Changed]

LOG = logging.getLogger("penstock.coordinator")

#: Audit action: the default of a model moved without a command, to a newer version or at a start.
DEFAULT_MOVED: Final = "default"
#: Seconds from the start to the second scan, which finds changes before the first file event.
_RESCAN_SECONDS: Final = 1.0
_MIN_RESCAN_SECONDS: Final = 0.25
#: Longest pause between two scans while versions are waited for.
_MAX_RESCAN_SECONDS: Final = 5.0
#: Each entry takes up to half a kilobyte of a record, which has a mebibyte at most.
_MODELS_A_RECORD: Final = 500


class Coordinator:
    """Keeps the fleet on the target that registry and desired state call for.

    Args:
        config: Configuration of the server.
        store: Desired state and audit log.
        planner: Makes the target.
        fleet: The workers.

    Attributes:
        looked: Whether the registry was scanned since the start.
        ask_store: Asks the store of the registry, if it is in one, whether something is new.
        served: Returns the versions that have answered a request.
        on_unanswered: Called with the versions whose gates must be run, after each look.
        look_soon: Has the registry scanned again now.
        on_reports: Called after the reports of workers were dealt with.
        on_problems: Called with what cannot be served, or not as it is, after each look at the
            registry.
    """

    def __init__(
        self, config: ServerConfig, store: StateStore, planner: Planner, fleet: Fleet
    ) -> None:
        self.store = store
        self.planner = planner
        self.fleet = fleet
        self._config = config
        self.looked = False
        self.on_reports: Callable[[], object] = int
        self.on_problems: Callable[[Sequence[Problem]], object] = lambda _: None
        self.on_unanswered: Callable[[Unanswered], object] = lambda _: None
        self.served: Callable[[], Awaitable[Collection[tuple[str, int]]]] = _unknown
        self.ask_store: Callable[[], Awaitable[object]] = _nothing
        self._looking = asyncio.Lock()
        self._planning = asyncio.Lock()
        self._committing = asyncio.Lock()
        self._again = asyncio.Event()
        self.look_soon = self._again.set
        # Copying and hashing is most of the work, and nobody but who loads waits for it.
        self._looker = ThreadPoolExecutor(1, "penstock-look", lower_priority)
        self._reported = asyncio.Event()
        self._answering = Answering()
        self._settled_at: float | None = None
        fleet.on_change = self._reported.set

    def standings(self) -> dict[str, Standing]:
        """The state of every version."""
        defaults = {name: plan.default for name, plan in self.planner.target.models.items()}
        findings = self.planner.findings
        return self.fleet.standings(defaults, findings.available, findings.configs)

    def serving(self, model: str) -> frozenset[int]:
        """The versions of a model that every worker has ready."""
        standing = self.standings().get(model)
        return frozenset() if standing is None else standing.serving

    async def commit(self, model: str, change: Change) -> tuple[DesiredState, bool]:
        """Record a change of the desired state, then make it; `replan` informs the workers.

        Args:
            model: Name of the model.
            change: The change, made on the present state; one at a time.

        Returns:
            The state after the change, and whether it has changed.

        Raises:
            ApiError: The change is not possible.
            Unavailable: It could not be recorded; nothing changed.
        """
        async with self._committing:
            state = self.store.state
            after, event = change(state, self.serving(model))
            if event is None:
                return state, False
            await asyncio.to_thread(self.store.commit, after, event, state.generation)
            return after, True

    async def refresh(self) -> None:
        """Scan the registry, and plan.

        A server that starts on a registry just copied is not ready before it has the models: there
        is no first target while versions are waited for, until a look has begun after the time in
        which their files must keep still, twice that after the first look.
        """
        clock = asyncio.get_running_loop().time
        async with self._looking:
            began = clock()
            state, standings = self.store.state, self.standings()
            try:
                served = await self.served()
                look = partial(self.planner.survey, state, standings, served)
                findings = await asyncio.get_running_loop().run_in_executor(
                    self._looker, partial(contained, look)
                )
            except ConfigError as error:
                LOG.warning("%s; going on with what was served before", error)
                return
            except Exception:
                LOG.exception("the look at the registry failed; the next one is not far")
                return
            self.planner.note(findings)
            self.on_problems(findings.problems)
            self.on_unanswered(findings.unanswered)
            self.looked = True
            if self._settled_at is None:
                self._settled_at = clock() + 2 * self._config.settle_seconds
        if self.planner.target.number or not findings.waiting or began > self._settled_at:
            await self.replan()

    async def replan(self) -> None:
        """Make and send the target if it changes.

        Before the first scan no version is known, so a target made then would serve nothing.
        """
        if not self.looked:
            await self.refresh()  # `refresh` plans after its scan
            return
        async with self._planning:
            before = self.planner.target
            target = self.planner.draft(self.store.state, self.standings())
            if target is before:
                return
            try:
                await self._record_defaults(before, target)
            except Unavailable as error:
                LOG.error("the target stays as it is: %s", error.message)  # noqa: TRY400  one line says it
                if before.number:
                    return
            self.planner.adopt(target)
            LOG.info("target %d: %d models", target.number, len(target.models))
            self.fleet.send_target(target)

    async def run(self) -> None:
        """Follow the registry and the workers until cancelled."""
        loop = asyncio.get_running_loop()
        watcher = Watcher(self._config.registry, lambda: loop.call_soon_threadsafe(self._again.set))
        watcher.start()
        try:
            async with asyncio.TaskGroup() as both:  # an error in one task ends both, and is raised
                both.create_task(self._follow_registry())
                both.create_task(self._follow_reports())
        finally:
            watcher.stop()

    async def _follow_registry(self) -> None:
        await self.refresh()
        wait, pause = _RESCAN_SECONDS, 0.0
        soon = max(_MIN_RESCAN_SECONDS, self._config.settle_seconds / 4)
        waiting: frozenset[tuple[str, int]] = frozenset()
        while True:
            before, waiting = waiting, self.planner.findings.waiting_keys
            if waiting:
                # Versions may be waited for without end, so the scans become rarer.
                longer = min(pause * 1.1, max(soon, _MAX_RESCAN_SECONDS))
                pause = longer if waiting == before else soon
                wait = min(wait, pause)
            await _wait_for(self._again, wait)
            await self.refresh()
            wait = self._config.scan_seconds

    async def _follow_reports(self) -> None:
        failed: set[tuple[str, int]] = set()
        while True:
            await self._reported.wait()
            self._reported.clear()
            before, failed = failed, self._failed()
            if failed - before:
                self._again.set()  # the versions that replace them may have to be copied first
            elif self.planner.target.number and self.looked:
                await self.replan()
            self.on_reports()
            for line in self._answering.news(self.planner.target.models, self.standings()):
                LOG.info("%s", line)

    def _failed(self) -> set[tuple[str, int]]:
        standings = self.standings().items()
        return {(model, version) for model, one in standings for version in one.failed}

    async def _record_defaults(self, before: Target, after: Target) -> None:
        """Record defaults that moved without a command; commands have records already."""
        old = _defaults(before)
        moved = {name: one for name, one in _defaults(after).items() if old.get(name) != one}
        moved |= {name: None for name in old if name not in after.models}
        if not moved:
            return
        pinned = {name for name, plan in after.models.items() if plan.pinned}
        changes = {
            name: one for name, one in moved.items() if name not in pinned or not before.number
        }
        if not changes:
            return
        reason = "the newest version that is ready" if before.number else "the server started"
        for names in batched(sorted(changes), _MODELS_A_RECORD):
            part = {name: changes[name] for name in names}
            event = AuditEvent(
                action=DEFAULT_MOVED,
                actor=ACTOR,
                before={name: old.get(name) for name in part},
                after=part,
                reason=reason,
                evidence={"digests": self.digests(part)},
                generation=self.store.state.generation,
            )
            await asyncio.to_thread(self.store.note, event)

    def digests(self, defaults: Mapping[str, int | None]) -> dict[str, str]:
        """The digests of these versions, by model, where they are known."""
        results = self.planner.findings.results
        keys = {name: (name, one) for name, one in defaults.items() if one is not None}
        return {name: results[key].digest for name, key in keys.items() if key in results}


def batched(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Split the names into lists of at most `size`."""
    return (names[at : at + size] for at in range(0, len(names), size))


async def _nothing() -> None:
    pass


async def _unknown() -> Collection[tuple[str, int]]:
    return ()


def _defaults(target: Target) -> dict[str, int | None]:
    return {name: plan.default for name, plan in target.models.items()}


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
    event.clear()
