"""Brings what is loaded in line with what should be: load first, then swap, then unload."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from penstock.batching.calibration import measure_costs
from penstock.runtimes.contract import LoadOptions
from penstock.runtimes.discovery import find_runtime
from penstock.runtimes.synthetic import PROBE_SIZES, synthetic_inputs
from penstock.server.http.codecs.signature import WireSignature

from .catalog import ServedModel
from .lifecycle import State
from .servable import Servable

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor
    from pathlib import Path

    from penstock.batching.cost import CostTable
    from penstock.batching.request import Batch
    from penstock.batching.scheduler import Scheduler
    from penstock.monitoring.metrics import CounterFile
    from penstock.runtimes.contract import Model
    from penstock.server.model_config import ModelConfig

    from .catalog import Catalog, Key
    from .plan import ModelPlan

LOG = logging.getLogger("penstock.models")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """What the loader thread hands to the event loop."""

    platform: str
    model: Model
    costs: CostTable | None


class ModelHost:
    """Loads, publishes and unloads the versions of one process.

    Args:
        loop: Where publishing happens.
        catalog: Where the loaded versions are published.
        scheduler: Where they run.
        counters: Where they are counted.
        sink: Makes the receiver of a version's finished batches.
        loader: Loads and measures, off the event loop and off the execution threads.

    Attributes:
        directories: Where each version of the last plan was loaded from, or failed to load from.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        catalog: Catalog,
        scheduler: Scheduler,
        counters: CounterFile,
        sink: Callable[[Servable], Callable[[Batch], None]],
        loader: Executor,
    ) -> None:
        self._loop = loop
        self._catalog = catalog
        self._scheduler = scheduler
        self._counters = counters
        self._sink = sink
        self._loader = loader
        self.directories: dict[Key, Path] = {}

    def steer(self, models: Mapping[str, ModelPlan]) -> None:
        """Point defaults and aliases at versions that are loaded already.

        Waits for nothing: a rollback takes effect while another version is being loaded.
        """
        for plan in models.values():
            before = self._catalog.models.get(plan.name)
            if before is not None:
                self._publish(plan, before.versions, before)

    async def apply(self, models: Mapping[str, ModelPlan]) -> None:
        """Serve exactly these models and versions.

        What cannot be loaded is marked `State.FAILED` with the reason, and is not tried again while
        it is asked for from the same directory; what served goes on serving.
        """
        self.steer(models)
        wanted = {(name, str(one)) for name, plan in models.items() for one in plan.versions}
        self.directories = {key: at for key, at in self.directories.items() if key in wanted}
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
        for number, directory in plan.versions.items():
            version = str(number)
            if version in loaded:
                loaded[version].queue.configure(plan.config.batching)
            elif not self._failed_before((plan.name, version), directory):
                servable = await self._load(plan.name, version, directory, plan.config)
                if servable is not None:
                    loaded[version] = servable
        wanted = {
            version: loaded[version] for version in map(str, plan.versions) if version in loaded
        }
        if not wanted:
            return
        self._publish(plan, wanted, self._catalog.models.get(plan.name))
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
        after = ServedModel(plan.name, dict(loaded), default, resolved)
        if before is None or not after.same_as(before):
            self._catalog.publish(after)

    def _failed_before(self, key: Key, directory: Path) -> bool:
        status = self._catalog.statuses.get(key)
        failed = status is not None and status.state is State.FAILED
        return failed and self.directories.get(key) == directory

    async def _load(
        self, name: str, version: str, directory: Path, config: ModelConfig
    ) -> Servable | None:
        key = name, version
        self.directories[key] = directory
        self._catalog.move(key, State.LOADING)
        work = partial(load_model, directory, config)
        try:
            loaded = await self._loop.run_in_executor(self._loader, work)
        except Exception as error:  # noqa: BLE001  a plug-in may raise anything; others go on
            self._catalog.move(key, State.FAILED, str(error) or type(error).__name__)
            LOG.error("model %s version %s: %s", name, version, error)  # noqa: TRY400  one line says it
            return None
        wire = WireSignature(loaded.model.signature, name, version)
        counters = self._counters.model(name, version)
        servable = Servable(name, version, loaded.platform, loaded.model, wire, counters)
        servable.queue = self._scheduler.register(
            name, version, loaded.model, config.batching, self._sink(servable), loaded.costs
        )
        self._catalog.move(key, State.READY)
        return servable

    async def _unload(self, servable: Servable) -> None:
        key = servable.name, servable.version
        self._catalog.move(key, State.DRAINING)
        await self._scheduler.unregister(servable.queue)
        await self._loop.run_in_executor(self._loader, servable.model.unload)
        self._catalog.move(key, State.UNLOADED)


def load_model(directory: Path, config: ModelConfig) -> LoadedModel:
    """Load one version, warm it up and measure its run times. Blocking.

    Raises:
        ModelLoadError: It cannot be served.
    """
    runtime, path = find_runtime(directory, config.platform)
    model = runtime.load(path, LoadOptions(threads=config.threads, settings=config.settings))
    rows = config.batching.max_batch_size if model.signature.batch_axis else 1
    costs = warm_up(model, rows)
    if costs is None:
        LOG.warning("%s takes no made-up inputs, so it is not warmed up", directory)
    return LoadedModel(runtime.platform, model, costs)


def warm_up(model: Model, rows: int) -> CostTable | None:
    """Run the model for up to so many rows, with the first made-up inputs that it accepts.

    Returns:
        The measured run times, or ``None`` if it accepts none; real inputs may be another matter.
    """
    signature = model.signature
    for size in PROBE_SIZES:
        try:
            return measure_costs(model, partial(synthetic_inputs, signature, variable=size), rows)
        except Exception:  # noqa: BLE001, S112  a plug-in may raise anything; try the next size
            continue
    return None
