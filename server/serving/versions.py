"""The versions that one process loads and unloads, side by side.

`penstock.server.serving.host` decides which of them are published.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from penstock.batching.contained import text_of
from penstock.server.codecs.signature import MAX_RUNS, WireSignature
from penstock.server.config.model_config import config_digest
from penstock.server.loading.load_order import LoadOrder
from penstock.server.registry.private_copy import digest_of_copy

from .batching_log import log_batching
from .lifecycle import TRANSITIONS, State, Status, without_places
from .load_task import Loading, asked_of
from .pipeline_steps import PipelineSteps
from .sample_origin import origin_of
from .servable import Servable
from .validation_rules import DeclaredRules

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from penstock.batching.request import Batch
    from penstock.batching.scheduler import Scheduler
    from penstock.monitoring.metrics.metrics import CounterFile
    from penstock.monitoring.samples.privacy import Privacy
    from penstock.runtimes.contract import Signature
    from penstock.server.config.model_log import LogOptions
    from penstock.server.loading.load_order import LoadedModel
    from penstock.server.loading.loads import Loads
    from penstock.server.target.plan import ModelPlan
    from penstock.server.target.planned_step import PlannedStep

    from .catalog import Catalog, Key
    from .load_task import Asked

    #: Version and signature that serve the clients of a model now.
    Predecessor = Callable[[ModelPlan], tuple[str, Signature] | None]

LOG = logging.getLogger("penstock.models")

#: Versions of a model that load within this time are published together, in ascending order.
TOGETHER_SECONDS: Final = 5.0


class Versions:
    """Loads and unloads versions.

    Args:
        loop: The event loop of everything but the loads.
        catalog: Holds the state of each version.
        scheduler: Runs the versions.
        counters: Counters of this process.
        sink: Makes the receiver of a version's finished batches.
        loads: Loads and unloads, away from the loop.
        privacy: Inputs that must not leave this process as they are.

    Attributes:
        directories: The directory that each version was last loaded from, or failed to load from.
        configs: Digest of the configuration of that load.
        fresh: Loaded versions that are not published yet, by model and version.
        is_wanted: Whether a loaded version is still wanted.
        steps: The steps of the loaded pipelines.
        rules: Puts the declared rules into force.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        catalog: Catalog,
        scheduler: Scheduler,
        counters: CounterFile,
        sink: Callable[[Servable], Callable[[Batch], None]],
        loads: Loads,
        privacy: Callable[[LogOptions], Privacy | None],
    ) -> None:
        self.rules = DeclaredRules(counters, privacy)
        self._loop = loop
        self._catalog = catalog
        self._scheduler = scheduler
        self._counters = counters
        self._sink = sink
        self._loads = loads
        self.directories: dict[Key, Path] = {}
        self.configs: dict[Key, str] = {}
        self.fresh: dict[str, dict[str, Servable]] = {}
        self.is_wanted: Callable[[str, int], bool] = lambda _name, _number: True
        self._asked: set[Asked] = set()
        self._loading: dict[Key, Loading] = {}
        self._leaving: dict[Key, asyncio.Task[None]] = {}
        self.steps = PipelineSteps(catalog, scheduler, self._loading, self.loaded)

    def loaded(self, name: str, version: str) -> Servable | None:
        """A version that is loaded, published or not, and not on its way out."""
        model = self._catalog.models.get(name)
        published = None if model is None else model.versions.get(version)
        return self.fresh.get(name, {}).get(version, published)

    def forget_all_but(self, plans: Iterable[ModelPlan]) -> None:
        """Forget failures of versions that are in no plan, so that they are tried again later."""
        self._asked &= {asked_of(plan, one) for plan in plans for one in plan.versions}

    def failed_before(self, plan: ModelPlan, number: int) -> bool:
        """Whether a load failed from the same files, with the same configuration."""
        key = plan.name, str(number)
        status = self._catalog.statuses.get(key)
        failed = status is not None and status.state is State.FAILED
        asked = asked_of(plan, number) in self._asked
        same = self.configs.get(key) == config_digest(plan.config)
        return failed and asked and same and self.directories[key] == plan.versions[number]

    def keep_out(self, key: Key, reason: str) -> None:
        """Mark a version that must not be loaded; a loaded one is unloaded first."""
        self._loading.pop(key, None)  # the result of a load in progress is not used
        if key in self._leaving:
            self._leaving[key].add_done_callback(lambda _: self.keep_out(key, reason))
            return
        status = self._catalog.statuses.get(key, Status())
        if status.state is State.FAILED and status.reason != reason:
            self._catalog.move(key, State.LOADING)
        if State.FAILED in TRANSITIONS[self._state(key)]:
            self._catalog.move(key, State.FAILED, reason)

    def begin(
        self,
        plan: ModelPlan,
        number: int,
        earlier: Collection[asyncio.Task[None]],
        predecessor: Predecessor,
    ) -> asyncio.Task[None]:
        """Begin the load of a version, or join an equal load in progress.

        Args:
            plan: Plan of its model.
            number: The version.
            earlier: Loads that should end first, if they end soon.
            predecessor: The version whose clients it must not break; called just before the load.

        Returns:
            A task that ends when the load has ended, and never raises.
        """
        key = plan.name, str(number)
        asked, directory = asked_of(plan, number), plan.versions[number]
        before = self._loading.get(key)
        if before is not None and (before.asked, before.directory) == (asked, directory):
            return before.task
        waits = [*earlier, *([] if before is None else [before.task])]
        if key in self._leaving:
            waits.append(self._leaving[key])
        self._asked.add(asked)
        task = self._loop.create_task(self._load(plan, number, waits, predecessor))
        self._loading[key] = Loading(asked, directory, task)
        return task

    async def _load(
        self,
        plan: ModelPlan,
        number: int,
        earlier: Collection[asyncio.Task[None]],
        predecessor: Predecessor,
    ) -> None:
        key = name, version = plan.name, str(number)
        mine = asyncio.current_task()
        if key in self._leaving:
            await asyncio.wait({self._leaving[key]})
        self.directories[key] = plan.versions[number]
        self.configs[key] = config_digest(plan.config)
        limit = self._loads.limit_seconds(plan.config)
        if self._state(key) is not State.LOADING:
            self._catalog.move(key, State.LOADING, f"limit {limit:g} s")
        order = LoadOrder(
            name,
            version,
            plan.versions[number],
            plan.config,
            accepted=number in plan.accepted,
            busy=self._catalog.ready,
            declared=plan.declared.get(number),
            retried_at=plan.retried.get(number, 0.0),
            limit_seconds=limit,
        )
        loaded = error = None
        try:
            order = await self._prepare(order, plan.steps.get(number))
            if earlier:  # in ascending order, but nobody waits long for another
                await asyncio.wait(earlier, timeout=TOGETHER_SECONDS)
            order = replace(order, predecessor=predecessor(plan))
            loaded = await self._loads.load(order)
        except Exception as raised:  # noqa: BLE001  a plug-in may raise anything; others go on
            error = raised
        current = self._loading.get(key)
        if current is None or current.task is not mine:  # another load of it was begun since
            if loaded is not None:
                await self._loads.unload(name, version, loaded.model)
            return
        del self._loading[key]
        if loaded is not None:
            try:
                self._take_in(plan, order, loaded)
            except Exception as raised:  # noqa: BLE001  as above
                error = raised
                await self._loads.unload(name, version, loaded.model)
        if error is not None:
            self._fail(key, error)

    async def _prepare(self, order: LoadOrder, steps: tuple[PlannedStep, ...] | None) -> LoadOrder:
        """Have a model tried, or the steps of a pipeline found: each of these was tried."""
        if steps is None:
            await self._loads.prove(order)
            return order
        return replace(order, steps=await self.steps.find(steps))

    def _take_in(self, plan: ModelPlan, order: LoadOrder, loaded: LoadedModel) -> None:
        """Make a loaded model ready to be published."""
        key = name, version = order.name, order.version
        steps = self.steps.of(loaded.model)
        wire = WireSignature(loaded.signature, *key)
        wire.max_rows = MAX_RUNS * plan.config.batching.max_batch_size
        counters = self._counters.model(name, version)
        origin = origin_of(name, version, wire.signature)
        servable = Servable(name, version, loaded.platform, loaded.model, wire, counters, origin)
        servable.memory, servable.digest, config = loaded.memory, loaded.digest, plan.config
        self.rules.declare(servable, config)
        servable.scheduled = scheduled = self._scheduler.register(
            name,
            version,
            loaded.model,
            config.batching,
            self._sink(servable),
            loaded.costs,
            instances=loaded.processes,
        )
        scheduled.mark = self._loads.run_mark(name, version, config, loaded)
        scheduled.known_inputs = loaded.known_inputs
        self.steps.hold(servable, steps)
        log_batching(servable)
        self._catalog.move(key, State.READY)
        if self.is_wanted(name, int(version)):
            self.fresh.setdefault(name, {})[version] = servable
        else:
            self.let_go([servable])

    def is_replaced(self, plan: ModelPlan, number: int) -> bool:
        """Whether a loaded version has other files now than those it was loaded from.

        A copy made again in place of a damaged one has the same files, and the same digest.
        """
        before, after = self.directories[plan.name, str(number)], plan.versions[number]
        digests = digest_of_copy(before), digest_of_copy(after)
        return before != after and None not in digests and digests[0] != digests[1]

    def _state(self, key: Key) -> State:
        return self._catalog.statuses.get(key, Status()).state

    def _fail(self, key: Key, error: Exception) -> None:
        reason = text_of(error)
        LOG.error("model %s version %s: %s", *key, reason)
        places = (self.directories[key], *self._loads.places)
        self._catalog.move(key, State.FAILED, reason, without_places(reason, places))

    def let_go(self, servables: Iterable[Servable]) -> None:
        """Unload these versions, each when it has answered its accepted requests."""
        for servable in servables:
            key = servable.name, servable.version
            task = self._loop.create_task(self._unload(servable))
            self._leaving[key] = task
            task.add_done_callback(partial(self._left, key))

    def _left(self, key: Key, task: asyncio.Task[None]) -> None:
        if self._leaving.get(key) is task:
            del self._leaving[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            LOG.error("model %s version %s could not be unloaded", *key, exc_info=error)

    async def _unload(self, servable: Servable) -> None:
        key = servable.name, servable.version
        self._catalog.move(key, State.DRAINING)
        try:
            await self.steps.wait_idle(servable)
            await servable.wait_coded()
            await self._scheduler.unregister(servable.scheduled)
            await servable.wait_coded()  # the answers of its last runs
        finally:
            problem = await self._loads.unload(*key, servable.model)
            self._catalog.move(key, State.UNLOADED, problem)
            self.steps.release(servable)

    async def all_left(self) -> None:
        """Wait until all versions that were let go are unloaded."""
        while self._leaving:  # the last pipeline of a step may take the step along
            await asyncio.wait(self._leaving.values())
