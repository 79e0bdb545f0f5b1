"""Brings the loaded versions in line with the target: load first, then swap, then unload."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

from penstock.server.registry.column_names import adopted

from .active_split import active_split_of
from .apply_failed import ApplyFailed
from .catalog import ServedModel
from .versions import TOGETHER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from penstock.monitoring.metrics.metrics import CounterFile
    from penstock.runtimes.contract import Signature
    from penstock.server.target.plan import ModelPlan

    from .catalog import Catalog, Key
    from .servable import Servable
    from .versions import Versions

LOG = logging.getLogger("penstock.models")


class ModelHost:
    """Loads, publishes and unloads the versions of one process.

    Args:
        catalog: Publishes the loaded versions.
        counters: Counters of this process.
        versions: Loads and unloads each version.
    """

    def __init__(
        self,
        catalog: Catalog,
        counters: CounterFile,
        versions: Versions,
    ) -> None:
        self._catalog = catalog
        self._counters = counters
        self._versions = versions
        self._newest: Mapping[str, ModelPlan] = {}
        versions.is_wanted = self._is_wanted
        versions.steps.on_idle = self._drop_idle

    @property
    def configs(self) -> Mapping[Key, str]:
        """The digest of the configuration with which each was."""
        return self._versions.configs

    @property
    def directories(self) -> Mapping[Key, Path]:
        """The directory that each version was last loaded from, or failed to load from."""
        return self._versions.directories

    def steer(self, models: Mapping[str, ModelPlan]) -> None:
        """Point defaults and aliases at versions that are loaded already.

        Waits for nothing: a rollback takes effect while another version is being loaded, and stays
        in effect when that has been loaded.

        Raises:
            ApplyFailed: Some models could not be served as ordered; all others are.
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
                self._versions.rules.declare_again(servable, plan.config)

    async def apply(self, models: Mapping[str, ModelPlan]) -> None:
        """Serve exactly these models and versions.

        What cannot be loaded is marked `State.FAILED` with the reason, and is not tried again until
        it was not asked for, comes from another directory, has another configuration, is accepted,
        or an operator says so; what served goes on serving. Versions are loaded side by side, and
        no model waits for another. It may be cancelled: loads and unloads go on, and the next call
        finds them.

        Raises:
            ApplyFailed: Some models could not be served as ordered; all others are.
        """
        failed: dict[str, Exception] = {}
        try:
            self.steer(models)
        except ApplyFailed as error:
            failed |= error.models
        self._versions.forget_all_but(models.values())
        await asyncio.gather(*(self._try_model(plan, failed) for plan in models.values()))
        for name in [name for name in self._catalog.models if name not in models]:
            self._keep_steps(self._catalog.models[name])
        for name in [name for name in self._versions.fresh if name not in models]:
            self._versions.let_go(self._versions.fresh.pop(name).values())
        await self._versions.all_left()
        self._counters.set_models_loaded(
            sum(len(model.versions) for model in self._catalog.models.values())
        )
        self._catalog.ready = True
        if failed:
            raise ApplyFailed(failed)

    async def _try_model(self, plan: ModelPlan, failed: dict[str, Exception]) -> None:
        try:
            await self._apply_model(plan)
        except Exception as error:
            LOG.exception("model %s could not be dealt with", plan.name)
            failed[plan.name] = error

    async def _apply_model(self, plan: ModelPlan) -> None:
        if plan.quarantined:
            self._settle(plan)
        for number, reason in plan.quarantined.items():
            self._versions.keep_out((plan.name, str(number)), reason)
        loaded = self._loaded(plan.name)
        pending: set[asyncio.Task[None]] = set()
        for number in plan.versions:
            version = str(number)
            if version in loaded and self._versions.is_replaced(plan, number):
                self._withdraw(plan, loaded, loaded.pop(version))
            if version in loaded:
                self._versions.directories[plan.name, version] = plan.versions[number]
                loaded[version].scheduled.configure(plan.config.batching)
            elif number not in plan.quarantined and not self._versions.failed_before(plan, number):
                earlier = frozenset(pending)
                pending.add(self._versions.begin(plan, number, earlier, self._predecessor))
        # What loads in a moment is published together, so that a start does not serve an old
        # version first. What takes longer keeps nothing back.
        if pending:
            _, pending = await asyncio.wait(pending, timeout=TOGETHER_SECONDS)
        self._settle(plan)
        while pending:
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            self._settle(plan)

    def _withdraw(
        self, plan: ModelPlan, others: Mapping[str, Servable], servable: Servable
    ) -> None:
        """Take a version out of service whose files have changed; the new files are loaded next."""
        if others:
            self._publish(plan, others, self._catalog.models.get(plan.name))
        else:
            self._catalog.withdraw(plan.name)
        self._versions.fresh.get(plan.name, {}).pop(servable.version, None)
        self._versions.let_go([servable])
        self._reload_pipelines(servable)

    def _reload_pipelines(self, step: Servable) -> None:
        """Take the pipelines out of service that use a withdrawn version, and load them again."""
        for pipeline in {*step.pipelines}:
            loaded = self._loaded(pipeline.name)
            if loaded.pop(pipeline.version, None) is not pipeline:
                continue  # it is on its way out
            plan = self._newest.get(pipeline.name)
            if plan is None:
                self._catalog.withdraw(pipeline.name)
                self._versions.let_go([pipeline])
                continue
            self._withdraw(plan, loaded, pipeline)
            if int(pipeline.version) in plan.versions:
                number = int(pipeline.version)
                load = self._versions.begin(plan, number, (), self._predecessor)
                load.add_done_callback(partial(self._settle_newest, pipeline.name))

    def _settle_newest(self, name: str, _load: object) -> None:
        plan = self._newest.get(name)
        if plan is not None:
            self._settle(plan)

    def _keep_steps(self, model: ServedModel) -> None:
        """Stop serving a model, except for the versions that pipelines use."""
        kept = {version: one for version, one in model.versions.items() if one.pipelines}
        if kept:
            self._catalog.publish(ServedModel(model.name, kept, None))
        else:
            self._catalog.withdraw(model.name)
        self._versions.let_go(one for one in model.versions.values() if not one.pipelines)

    def _drop_idle(self, step: Servable) -> None:
        """Unload a version that no pipeline uses any more, unless it is wanted without them."""
        if self._versions.loaded(step.name, step.version) is step:
            plan = self._newest.get(step.name)
            if plan is not None:
                self._settle(plan)
            else:
                self._keep_steps(self._catalog.models[step.name])

    def take_out(self, name: str, version: str, reason: str) -> None:
        """Take a loaded version out of service; the others of its model serve on."""
        plan, loaded = self._newest.get(name), self._loaded(name)
        servable = loaded.pop(version, None)
        if plan is None or servable is None:
            return
        LOG.error("model %s version %s is %s", name, version, reason)
        self._withdraw(plan, loaded, servable)
        self._versions.keep_out((name, version), reason)

    def _loaded(self, name: str) -> dict[str, Servable]:
        """Versions of a model by number: those that are served, and those about to be."""
        model = self._catalog.models.get(name)
        return {**({} if model is None else model.versions), **self._versions.fresh.get(name, {})}

    def _settle(self, plan: ModelPlan) -> None:
        """Publish the loaded and wanted versions of a model, and unload the others."""
        newest = self._newest.get(plan.name, plan)  # names may have moved during the loads
        numbers = sorted({*plan.versions, *newest.versions})
        loaded = self._loaded(plan.name)
        wanted = {
            str(number): loaded[str(number)]
            for number in numbers
            if str(number) in loaded and number not in newest.quarantined
        }
        due = [number for number in numbers if number not in newest.steps_only]
        late = not any(str(number) in wanted for number in due)
        if due and late and newest.quarantined.keys().isdisjoint(map(int, loaded)):
            if not wanted:
                return  # the old version serves until another one does
            wanted = loaded
        wanted |= {
            version: one
            for version, one in loaded.items()  # a pipeline that still serves needs it
            if one.pipelines and int(version) not in newest.quarantined
        }
        self._versions.fresh.pop(plan.name, None)
        if wanted:
            self._publish(newest, wanted, self._catalog.models.get(plan.name))
        else:
            self._catalog.withdraw(plan.name)
        gone = [one for version, one in loaded.items() if version not in wanted]
        self._versions.let_go(gone)
        for one in gone:
            self._reload_pipelines(one)

    def _publish(
        self, plan: ModelPlan, loaded: Mapping[str, Servable], before: ServedModel | None
    ) -> None:
        """Publish by one pointer: a concurrent request gets the old set of versions or the new."""
        default = loaded.get(str(plan.default))
        if default is None and before is not None and before.default in loaded.values():
            default = before.default  # the old version serves until its successor is loaded
        if default is None and not plan.pinned:
            default = max(_candidates(plan, loaded), key=_number, default=None)
        aliases = {name: loaded.get(str(version)) for name, version in plan.aliases.items()}
        resolved = {name: one for name, one in aliases.items() if one is not None}
        active_split = active_split_of(
            plan.split, default, loaded, None if before is None else before.active_split
        )
        after = ServedModel(plan.name, dict(loaded), default, resolved, active_split)
        if before is None or not after.same_as(before):
            self._catalog.publish(after)

    def _predecessor(self, plan: ModelPlan) -> tuple[str, Signature] | None:
        """Version and signature whose clients a new version must not break, if there are any."""
        loaded = self._loaded(plan.name)
        if plan.config.signature == "any" or not loaded:
            return None
        before = self._catalog.models.get(plan.name)
        serving = loaded.get(str(plan.default)) or (before and before.default)
        serving = serving or loaded[max(loaded, key=int)]
        declared = plan.declared.get(int(serving.version))
        return serving.version, adopted(serving.model.signature, declared)

    def _is_wanted(self, name: str, number: int) -> bool:
        plan = self._newest.get(name)
        return plan is not None and number in plan.versions and number not in plan.quarantined


def _candidates(plan: ModelPlan, loaded: Mapping[str, Servable]) -> list[Servable]:
    """The versions that may answer requests that name none, if the default is not loaded."""
    return [
        one
        for version, one in loaded.items()
        if int(version) not in plan.steps_only
        and (int(version) in plan.versions or not one.pipelines)
    ]


def _number(servable: Servable) -> int:
    return int(servable.version)
