"""Brings what is loaded in line with what should be: load first, then swap, then unload."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from penstock.batching.contained import text_of
from penstock.runtimes.contract import ModelLoadError
from penstock.server.http.codecs.signature import MAX_RUNS, WireSignature
from penstock.server.model_config import config_digest
from penstock.server.quality.compile import declare

from .apply_failed import ApplyFailed
from .arms import arms_of
from .batching_log import log_batching
from .catalog import ServedModel
from .lifecycle import State, without_places
from .loading import LoadOrder
from .loading_thread import LoadingThread
from .private_copy import digest_of_copy
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
    from .loading import LoadedModel, Loader
    from .plan import ModelPlan

LOG = logging.getLogger("penstock.models")


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
        self._thread = LoadingThread(loop, loader, executor)
        self.directories: dict[Key, Path] = {}
        self.configs: dict[Key, str] = {}
        self._asked: set[tuple[str, int, bool]] = set()
        self._newest: Mapping[str, ModelPlan] = {}

    def steer(self, models: Mapping[str, ModelPlan]) -> None:
        """Point defaults and aliases at versions that are loaded already.

        Waits for nothing: a rollback takes effect while another version is being loaded, and stays
        in effect when that has been loaded.

        Raises:
            ApplyFailed: Some models could not be dealt with; all others were.
        """
        self._newest = models
        failed: dict[str, Exception] = {}
        for plan in models.values():
            try:
                self._steer_model(plan)
            except Exception as error:  # noqa: BLE001  the other models are steered all the same
                failed[plan.name] = error
        if failed:
            raise ApplyFailed(failed)

    def _steer_model(self, plan: ModelPlan) -> None:
        if (before := self._catalog.models.get(plan.name)) is not None:
            self._publish(plan, before.versions, before)
            for servable in before.versions.values():
                self._declare(servable, plan.config)

    async def apply(self, models: Mapping[str, ModelPlan]) -> None:
        """Serve exactly these models and versions.

        What cannot be loaded is marked `State.FAILED` with the reason, and is not tried again until
        it was not asked for, comes from another directory, has another configuration, or is
        accepted; what served goes on serving.

        Raises:
            ApplyFailed: Some models could not be dealt with; all others were.
        """
        failed: dict[str, Exception] = {}
        try:
            self.steer(models)
        except ApplyFailed as error:
            failed |= error.models
        plans = models.values()
        self._asked &= {(p.name, one, one in p.accepted) for p in plans for one in p.versions}
        for plan in models.values():
            try:
                await self._apply_model(plan)
            except Exception as error:
                LOG.exception("model %s could not be dealt with", plan.name)
                failed[plan.name] = error
        for name in [name for name in self._catalog.models if name not in models]:
            gone = self._catalog.models[name]
            self._catalog.withdraw(name)
            for servable in gone.versions.values():
                await self._unload(servable)
        self._counters.set_models_loaded(
            sum(len(model.versions) for model in self._catalog.models.values())
        )
        self._catalog.ready = True
        if failed:
            raise ApplyFailed(failed)

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
        """Whether its files are others; a copy made again has the same ones, and their digest."""
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
        try:
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
            loaded = await self._thread.load(order)
        except Exception as error:  # noqa: BLE001  a plug-in may raise anything; others go on
            self._fail(key, error)
            return None
        try:
            return self._take_in(key, loaded, config)
        except Exception as error:  # noqa: BLE001  as above
            self._fail(key, error)
            await self._thread.unload(name, version, loaded.model)
            return None

    def _take_in(self, key: Key, loaded: LoadedModel, config: ModelConfig) -> Servable:
        """Make a loaded model ready to be published."""
        name, version = key
        wire = WireSignature(loaded.model.signature, *key)
        wire.max_rows = MAX_RUNS * config.batching.max_batch_size
        counters = self._counters.model(name, version)
        servable = Servable(name, version, loaded.platform, loaded.model, wire, counters)
        servable.memory = loaded.memory
        declare(servable, config.quality, config.monitoring.features, self._counters)
        servable.keep_private(self._privacy(config.log))
        servable.queue = self._scheduler.register(
            name, version, loaded.model, config.batching, self._sink(servable), loaded.costs
        )
        servable.queue.known_inputs = loaded.known_inputs
        log_batching(servable)
        self._catalog.move(key, State.READY)
        return servable

    def _declare(self, servable: Servable, config: ModelConfig) -> None:
        """Put into force what is declared of inputs; else a version that serves stays as it was."""
        try:
            features = config.monitoring.features
            declare(servable, config.quality, features, self._counters)
        except ModelLoadError as e:
            LOG.error("model %s version %s: %s", servable.name, servable.version, e)  # noqa: TRY400

    def _fail(self, key: Key, error: Exception) -> None:
        reason = text_of(error)
        LOG.error("model %s version %s: %s", *key, reason)
        places = (self.directories[key], *self._loader.places)
        self._catalog.move(key, State.FAILED, reason, without_places(reason, places))

    async def _unload(self, servable: Servable) -> None:
        """Unload a version that is published no more; `State.UNLOADED` at the end."""
        key = servable.name, servable.version
        self._catalog.move(key, State.DRAINING)
        try:
            await servable.wait_decoded()
            await self._scheduler.unregister(servable.queue)
        finally:
            problem = await self._thread.unload(*key, servable.model)
            self._catalog.move(key, State.UNLOADED, problem)


def _predecessor(
    plan: ModelPlan, loaded: Mapping[str, Servable], before: ServedModel | None
) -> Servable | None:
    """Whose clients a new version must not break, if that matters."""
    if plan.config.signature == "any" or not loaded:
        return None
    serving = loaded.get(str(plan.default)) or (before and before.default)
    return serving or loaded[max(loaded, key=int)]
