"""Follows one alias of MLflow: publishes its version, and sets it back after an aborted rollout."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.files.stamp import stamp_of
from penstock.server.desired_state.audit_record import AuditEvent
from penstock.server.desired_state.rollout_state import recorded
from penstock.server.errors import ApiError, Unavailable
from penstock.server.follow.alias_step import PROMOTE, PUBLISH, AliasStep, AliasView, alias_step
from penstock.server.follow.mlflow_registry import MlflowFailed
from penstock.server.registry.lineage import lineage
from penstock.server.registry.manifest import MANIFEST_FILE
from penstock.server.registry.mlflow_version import mlflow_version_of
from penstock.server.rollout.phase import Phase

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from pathlib import Path

    from penstock.server.config.config import ServerConfig
    from penstock.server.config.follow_options import MlflowOptions
    from penstock.server.follow.mlflow_process import MlflowProcess
    from penstock.server.registry.mlflow_version import MlflowVersion

    from .coordinator import Coordinator

    #: Makes a version stable, for a reason.
    Promote = Callable[[str, int, str], Awaitable[object]]

LOG = logging.getLogger("penstock.follow")

ACTOR: Final = "mlflow"
#: The pause after a failure, which doubles with each in a row, up to the second; seconds.
_RETRY_SECONDS: Final = (1.0, 300.0)
#: A version was just published: whether it has to be promoted is known when it was surveyed.
_SOON_SECONDS: Final = 0.5
#: Versions of a model whose manifests are read, the newest.
_MOST_VERSIONS: Final = 1000


def retry_seconds(failures: int) -> float:
    """The pause after so many failures in a row."""
    first, longest = _RETRY_SECONDS
    return float(min(first * 2.0 ** min(failures - 1, 20), longest))


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
        self._failures = 0
        self._looked = False
        self._before: MlflowVersion | None = None
        self._moved = False
        self._manifests: dict[Path, tuple[object, MlflowVersion | None]] = {}

    async def run(self) -> None:
        """Look, act, and wait, again and again."""
        while True:
            pause = await self.turn()
            try:
                async with asyncio.timeout(pause):
                    await self.woken.wait()
            except TimeoutError:
                pass
            self.woken.clear()

    async def turn(self) -> float:
        """Look and act once; gives the seconds until the next time."""
        try:
            step = await self._look()
        except (MlflowFailed, ApiError, OSError) as error:
            self._note(str(error))
            self._failures += 1
            return retry_seconds(self._failures)
        self._note("")
        self._failures = 0
        poll = self.alias.poll_seconds
        return min(poll, _SOON_SECONDS) if step is not None else poll

    async def _look(self) -> AliasStep | None:
        """Look, and take the step that is due."""
        pointed = await self._mlflow.look(self.alias)
        published = await asyncio.to_thread(self._published)
        self._moved = self._moved or (self._looked and self._before != pointed)
        self._looked, self._before = True, pointed
        view = self._view(pointed, published)
        self._moved = self._moved and not view.reached
        step = alias_step(view, restore=self.alias.restore_alias)
        if step is not None:
            await self._take(step, published)
        return step

    def _view(
        self, pointed: MlflowVersion | None, published: dict[MlflowVersion, int]
    ) -> AliasView:
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

    async def _take(self, step: AliasStep, published: dict[MlflowVersion, int]) -> None:
        alias = self.alias
        source = f"{alias.alias} of {alias.model} points at version {step.pointed.version}"
        if step.action == PUBLISH:
            now = self._now().isoformat(timespec="seconds")
            found = await self._mlflow.publish(alias, step.pointed, now)
            LOG.info("%s: %s, which is version %s here", alias.name, source, found["version"])
            if found.pop("new"):
                await self._record("follow.publish", source, found)
            self._moved = True  # nobody can have decided about it yet
            await self._coordinator.ask_store()
            self._coordinator.look_soon()
        elif step.action == PROMOTE:
            await self._promote(alias.name, published[step.pointed], source)
        else:
            await self._mlflow.point(alias, step.pointed)
            reason = f"the rollout was aborted: {alias.alias} is set back to {step.pointed.version}"
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

    def _published(self) -> dict[MlflowVersion, int]:
        """Version of MLflow -> version here, by the manifests. Blocking."""
        home = self._registry / self.alias.name
        try:
            numbers = sorted(int(one.name) for one in home.iterdir() if one.name.isdecimal())
        except FileNotFoundError:
            return {}
        before, self._manifests = self._manifests, {}
        found = {}
        for number in numbers[-_MOST_VERSIONS:]:
            place = home / str(number)
            stamp = stamp_of(place / MANIFEST_FILE)
            known = before.get(place)
            if known is None or known[0] != stamp:
                known = stamp, self._version_of(place)
            self._manifests[place] = known
            if known[1] is not None:
                found[known[1]] = number
        return found

    def _version_of(self, directory: Path) -> MlflowVersion | None:
        """The version of MLflow that a version here was made of; ``None`` if of none."""
        manifest = lineage(self._registry, self.alias.name, directory.name).manifest
        version = None if manifest is None else mlflow_version_of(manifest.metadata)
        return version if version is not None and version.model == self.alias.model else None

    def _note(self, problem: str) -> None:
        if problem and problem != self.problem:
            LOG.warning("%s: %s", self.alias.name, problem)
        if not problem:
            self.since = ""
        elif not self.since:
            self.since = self._now().isoformat(timespec="seconds")
        self.problem = problem
