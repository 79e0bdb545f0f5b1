"""Brings what is loaded in line with what should be: load first, then swap, then unload."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from penstock.runtimes.contract import ModelLoadError
from penstock.server.http.codecs.signature import WireSignature
from penstock.server.model_config import config_digest
from penstock.server.quality.compile import declare

from .arms import arms_of
from .catalog import ServedModel
from .lifecycle import State, without_places
from .loading import LoadOrder
from .private_copy import digest_of_copy
from .process_memory import trim_memory
from .servable import Servable

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor
    from pathlib import Path

    from penstock.batching.request import Batch
    from penstock.batching.scheduler import Scheduler
    from penstock.monitoring.metrics import CounterFile
    from penstock.monitoring.privacy import Privacy
    from penstock.server.model_config import ModelConfig
    from penstock.server.model_log import LogOptions

    from .catalog import Catalog, Key
    from .loading import Loader
    from .plan import ModelPlan

LOG = logging.getLogger("penstock.models")

#: From an unload until freed memory goes back to the system. At once would take longer than the
#: unload, and the next load, of another version as a rule, would have to ask for it all again.
TRIM_SECONDS: Final = 5.0


class ModelHost:
    """Loads, publishes and unloads the versions of one process.

    Args:
        loop: Where publishing happens.
        catalog: Where the loaded versions are published.
        scheduler: Where they run.
        counters: Where they are counted.
        sink: Makes the receiver of a version's finished batches.
        loader: Loads and measures.
        executor: Where it does so: one thread, neither the event loop nor one that executes.
        privacy: What must not leave this process as it is.

    Attributes:
        directories: Where each version was last loaded from, or failed to load from.
        configs: The digest of the configuration with which that was.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        catalog: Catalog,
        scheduler: Scheduler,
        counters: CounterFile,
        sink: Callable[[Servable], Callable[[Batch], None]],
        loader: Loader,
        executor: Executor,
        privacy: Callable[[LogOptions], Privacy | None],
    ) -> None:
        self._privacy = privacy
        self._loop = loop
        self._catalog = catalog
        self._scheduler = scheduler
        self._counters = counters
        self._sink = sink
        self._loader = loader
        self._executor = executor
        self.directories: dict[Key, Path] = {}
        self.configs: dict[Key, str] = {}
        self._asked: set[tuple[str, int, bool]] = set()
        self._newest: Mapping[str, ModelPlan] = {}
        self._trim: asyncio.TimerHandle | None = None

    def steer(self, models: Mapping[str, ModelPlan]) -> None:
        """Point defaults and aliases at versions that are loaded already.

        Waits for nothing: a rollback takes effect while another version is being loaded, and stays
        in effect when that has been loaded.
        """
        self._newest = models
        for plan in models.values():
            before = self._catalog.models.get(plan.name)
            if before is not None:
                self._publish(plan, before.versions, before)
                for servable in before.versions.values():
                    self._declare(servable, plan.config)

    async def apply(self, models: Mapping[str, ModelPlan]) -> None:
        """Serve exactly these models and versions.

        What cannot be loaded is marked `State.FAILED` with the reason, and is not tried again until
        it was not asked for, comes from another directory, has another configuration, or is
        accepted; what served goes on serving.
        """
        self.steer(models)
        self._asked &= {
            (plan.name, one, one in plan.accepted)
            for plan in models.values()
            for one in plan.versions
        }
        for plan in models.values():
            await self._apply_model(plan)
        for name in [name for name in self._catalog.models if name not in models]:
            gone = self._catalog.models[name]
            self._catalog.withdraw(name)
            for servable in gone.versions.values():
                await self._unload(servable)
        self._counters.set_models_loaded(
            sum(len(model.versions) for model in self._catalog.models.values())
        )
        self._catalog.ready = True

    async def _apply_model(self, plan: ModelPlan) -> None:
        before = self._catalog.models.get(plan.name)
        loaded = {} if before is None else dict(before.versions)
        for number in plan.versions:
            version = str(number)
            if version in loaded and self._is_replaced(plan, number):
                await self._withdraw(plan, loaded, loaded.pop(version))
            if version in loaded:
                self.directories[plan.name, version] = plan.versions[number]
                loaded[version].queue.configure(plan.config.batching)
                loaded[version].keep_private(self._privacy(plan.config.log))
            elif not self._failed_before(plan, number):
                servable = await self._load(plan, number, _predecessor(plan, loaded, before))
                if servable is not None:
                    loaded[version] = servable
        newest = self._newest.get(plan.name, plan)  # names may have moved during the loads
        numbers = sorted({*plan.versions, *newest.versions})
        wanted = {version: loaded[version] for version in map(str, numbers) if version in loaded}
        if not wanted:
            return
        self._publish(newest, wanted, self._catalog.models.get(plan.name))
        for version, servable in loaded.items():
            if version not in wanted:
                await self._unload(servable)

    def _publish(
        self, plan: ModelPlan, loaded: Mapping[str, Servable], before: ServedModel | None
    ) -> None:
        """One pointer: whoever asks meanwhile gets the old set or the new one."""
        default = loaded.get(str(plan.default))
        if default is None and before is not None and before.default in loaded.values():
            default = before.default  # what served goes on until its successor is loaded
        if default is None and not plan.pinned:
            default = loaded[max(loaded, key=int)]
        aliases = {name: loaded.get(str(version)) for name, version in plan.aliases.items()}
        resolved = {name: one for name, one in aliases.items() if one is not None}
        arms = arms_of(plan.split, default, loaded, None if before is None else before.arms)
        after = ServedModel(plan.name, dict(loaded), default, resolved, arms)
        if before is None or not after.same_as(before):
            self._catalog.publish(after)

    def _is_replaced(self, plan: ModelPlan, number: int) -> bool:
        """Whether the version has other files than those it was loaded from.

        A copy made again in place of a damaged one has the same files, and the same digest.
        """
        before, after = self.directories[plan.name, str(number)], plan.versions[number]
        digests = digest_of_copy(before), digest_of_copy(after)
        return before != after and None not in digests and digests[0] != digests[1]

    async def _withdraw(
        self, plan: ModelPlan, others: Mapping[str, Servable], servable: Servable
    ) -> None:
        """Take a version out of service whose files are others now; they are loaded next."""
        if others:
            self._publish(plan, others, self._catalog.models.get(plan.name))
        else:
            self._catalog.withdraw(plan.name)
        await self._unload(servable)

    def _failed_before(self, plan: ModelPlan, number: int) -> bool:
        """Whether a load failed from the same files, with the same configuration."""
        key = plan.name, str(number)
        status = self._catalog.statuses.get(key)
        failed = status is not None and status.state is State.FAILED
        asked = (plan.name, number, number in plan.accepted) in self._asked
        same = self.configs.get(key) == config_digest(plan.config)
        return failed and asked and same and self.directories[key] == plan.versions[number]

    async def _load(
        self, plan: ModelPlan, number: int, predecessor: Servable | None
    ) -> Servable | None:
        name, version, config = plan.name, str(number), plan.config
        key = name, version
        accepted = number in plan.accepted
        self.directories[key] = plan.versions[number]
        self.configs[key] = config_digest(config)
        self._asked.add((name, number, accepted))
        self._catalog.move(key, State.LOADING)
        order = LoadOrder(
            name,
            version,
            self.directories[key],
            config,
            None if predecessor is None else (predecessor.version, predecessor.model.signature),
            accepted,
            busy=self._catalog.ready,
            declared=plan.declared.get(number),
        )
        try:
            loaded = await self._loop.run_in_executor(self._executor, self._loader.load, order)
        except Exception as error:  # noqa: BLE001  a plug-in may raise anything; others go on
            self._fail(key, error)
            LOG.error("model %s version %s: %s", name, version, error)  # noqa: TRY400  one line says it
            return None
        wire = WireSignature(loaded.model.signature, name, version)
        counters = self._counters.model(name, version)
        servable = Servable(name, version, loaded.platform, loaded.model, wire, counters)
        servable.memory = loaded.memory
        if not self._declare(servable, config):
            unload = self._loader.unload
            await self._loop.run_in_executor(self._executor, unload, name, version, loaded.model)
            return None
        servable.queue = self._scheduler.register(
            name, version, loaded.model, config.batching, self._sink(servable), loaded.costs
        )
        servable.keep_private(self._privacy(config.log))
        self._catalog.move(key, State.READY)
        _tell(servable)
        return servable

    def _declare(self, servable: Servable, config: ModelConfig) -> bool:
        """Put into force what is declared of inputs; else a version that serves stays as it was."""
        try:
            features = config.monitoring.features
            declare(servable, config.quality, features, self._counters)
        except ModelLoadError as error:
            key = servable.name, servable.version
            LOG.error("model %s version %s: %s", *key, error)  # noqa: TRY400  one line says it
            if self._catalog.statuses[key].state is State.LOADING:
                self._fail(key, error)
            return False
        return True

    def _fail(self, key: Key, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        places = (self.directories[key], *self._loader.places)
        self._catalog.move(key, State.FAILED, reason, without_places(reason, places))

    async def _unload(self, servable: Servable) -> None:
        key = servable.name, servable.version
        self._catalog.move(key, State.DRAINING)
        await servable.wait_decoded()
        await self._scheduler.unregister(servable.queue)
        await self._loop.run_in_executor(
            self._executor, self._loader.unload, servable.name, servable.version, servable.model
        )
        self._catalog.move(key, State.UNLOADED)
        if self._trim is None:
            self._trim = self._loop.call_later(TRIM_SECONDS, self._give_back)

    def _give_back(self) -> None:
        self._trim = None
        with suppress(RuntimeError):  # the executor is closed: so is the process, in a moment
            self._executor.submit(trim_memory)


def _tell(servable: Servable) -> None:
    """Say once how the version is batched and why, and what its file declares wrongly."""
    signature, what = servable.model.signature, (servable.name, servable.version)
    level = logging.INFO if signature.batch_axis else logging.WARNING
    reason = signature.batching or "its runtime says so"
    on = "on" if signature.batch_axis else "off"
    LOG.log(level, "model %s version %s: batching is %s: %s", *what, on, reason)
    for remark in signature.remarks:
        LOG.warning("model %s version %s: %s", *what, remark)


def _predecessor(
    plan: ModelPlan, loaded: Mapping[str, Servable], before: ServedModel | None
) -> Servable | None:
    """Whose clients a new version must not break, if that matters."""
    if plan.config.signature == "any" or not loaded:
        return None
    serving = loaded.get(str(plan.default)) or (before and before.default)
    return serving or loaded[max(loaded, key=int)]
