"""Follows one alias of MLflow: publishes its version, and sets it back after an aborted rollout."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from penstock.server.desired_state.audit_record import AuditEvent
from penstock.server.desired_state.rollout_state import recorded
from penstock.server.errors import ApiError, Unavailable
from penstock.server.follow.alias_step import PROMOTE, PUBLISH, AliasStep, AliasView, alias_step
from penstock.server.follow.mlflow_child import MODEL_KEY, VERSION_KEY
from penstock.server.follow.mlflow_process import MlflowFailed, MlflowProcess
from penstock.server.registry.lineage import lineage
from penstock.server.rollout.phase import Phase

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from pathlib import Path

    from penstock.server.config.config import ServerConfig
    from penstock.server.config.follow_options import MlflowOptions

    from .coordinator import Coordinator

    #: Makes a version stable, for a reason.
    Promote = Callable[[str, int, str], Awaitable[object]]

LOG = logging.getLogger("penstock.follow")

ACTOR: Final = "mlflow"
#: After a failure the pause doubles, up to so many seconds.
_LONGEST_PAUSE: Final = 300.0
#: Versions of a model whose manifests are read, the newest.
_MOST_VERSIONS: Final = 1000


class AliasFollower:
    """Follows one alias until cancelled.

    Args:
        alias: The alias.
        mlflow: Talks to MLflow.
        coordinator: Knows the versions here.
        promote: Makes a version stable.
        now: The time.
        config: Configuration of the server.

    Attributes:
        problem: Reason for which the last step failed; empty if it did not.
        since: Since when the steps fail, RFC 3339; empty if they do not.
        woken: Set it to have the alias looked at now.
    """

    def __init__(
        self,
        alias: MlflowOptions,
        mlflow: MlflowProcess,
        coordinator: Coordinator,
        promote: Promote,
        now: Callable[[], datetime],
        config: ServerConfig,
    ) -> None:
        self.alias = alias
        self._mlflow = mlflow
        self._coordinator = coordinator
        self._promote = promote
        self._now = now
        self._registry = config.registry
        self._on_push = config.on_push
        self.problem = ""
        self.since = ""
        self.woken = asyncio.Event()
        self._before: str | None = None
        self._moved = False
        self._manifests: dict[Path, str] = {}

    async def run(self) -> None:
        """Look, act, and wait, again and again."""
        pause = self.alias.poll_seconds
        while True:
            try:
                await self._look()
            except (MlflowFailed, ApiError, OSError) as error:
                self._note(str(error))
                pause = min(2 * pause, max(_LONGEST_PAUSE, self.alias.poll_seconds))
            else:
                self._note("")
                pause = self.alias.poll_seconds
            try:
                async with asyncio.timeout(pause):
                    await self.woken.wait()
            except TimeoutError:
                pass
            self.woken.clear()

    async def _look(self) -> None:
        pointed = await self._mlflow.look(self.alias)
        published = await asyncio.to_thread(self._published)
        self._moved = self._moved or self._before not in {None, pointed}
        self._before = pointed
        view = self._view(pointed, published)
        self._moved = self._moved and not view.reached
        step = alias_step(view, restore=self.alias.restore_alias)
        if step is not None:
            await self._take(step, published)

    def _view(self, pointed: str, published: dict[str, int]) -> AliasView:
        name = self.alias.name
        state = self._coordinator.store.state.model(name)
        plan = self._coordinator.planner.target.models.get(name)
        rollout = recorded(state)
        stable = state.stable if plan is None or state.stable is not None else plan.default
        own = None if plan is None else plan.config.on_push
        return AliasView(
            pointed,
            self._moved,
            published,
            stable,
            state.stable is not None,
            state.tried,
            own or self._on_push,
            rollout.candidate if rollout is not None and not rollout.final else None,
            rollout.candidate if rollout is not None and rollout.phase is Phase.ABORTED else None,
        )

    async def _take(self, step: AliasStep, published: dict[str, int]) -> None:
        alias = self.alias
        source = f"{alias.alias} of {alias.model} points at version {step.pointed}"
        if step.action == PUBLISH:
            now = self._now().isoformat(timespec="seconds")
            found = await self._mlflow.publish(alias, step.pointed, now)
            LOG.info("%s: %s, which is version %s here", alias.name, source, found["version"])
            await self._record("follow.publish", source, found)
            self._moved = True  # nobody can have decided about it yet
            self._coordinator.look_soon()
        elif step.action == PROMOTE:
            await self._promote(alias.name, published[step.pointed], source)
        else:
            await self._mlflow.point(alias, step.pointed)
            reason = f"the rollout was aborted: {alias.alias} is set back to {step.pointed}"
            LOG.warning("%s: %s", alias.name, reason)
            await self._record("follow.restore", reason, {})

    async def _record(self, action: str, reason: str, found: dict[str, Any]) -> None:
        store = self._coordinator.store
        event = AuditEvent(
            action,
            ACTOR,
            self.alias.name,
            reason=reason,
            evidence=found,
            generation=store.state.generation,
        )
        try:
            await asyncio.to_thread(store.note, event)
        except Unavailable as error:
            LOG.error("%s is not on record: %s", action, error.message)  # noqa: TRY400  one line says it

    def _published(self) -> dict[str, int]:
        """Version of MLflow -> version here, by the manifests. Blocking."""
        home = self._registry / self.alias.name
        try:
            numbers = sorted(int(one.name) for one in home.iterdir() if one.name.isdecimal())
        except FileNotFoundError:
            return {}
        found = {}
        for number in numbers[-_MOST_VERSIONS:]:
            place = home / str(number)
            if place not in self._manifests:
                self._manifests[place] = self._version_of(place)
            if self._manifests[place]:
                found[self._manifests[place]] = number
        return found

    def _version_of(self, directory: Path) -> str:
        """The version of MLflow that a version here was made of; empty if of none."""
        manifest = lineage(self._registry, self.alias.name, directory.name).manifest
        if manifest is None or manifest.metadata.get(MODEL_KEY) != self.alias.model:
            return ""
        return manifest.metadata.get(VERSION_KEY, "")

    def _note(self, problem: str) -> None:
        if problem and problem != self.problem:
            LOG.warning("%s: %s", self.alias.name, problem)
        if not problem:
            self.since = ""
        elif not self.since:
            self.since = self._now().isoformat(timespec="seconds")
        self.problem = problem
