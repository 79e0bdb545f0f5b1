"""Having a version ready on every worker before it gets traffic, and changing what is wanted."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from penstock.server.control.coordination.convergence import load_failures, not_ready, not_steered
from penstock.server.desired_state import state as change
from penstock.server.errors import Conflict, DeadlineExceeded
from penstock.server.target.pipelines import pipelines_with

from .command import describe, event_of
from .registry_names import no_such_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.server.control.coordination.coordinator import Change, Changed, Coordinator
    from penstock.server.desired_state.audit_record import AuditEvent
    from penstock.server.desired_state.state import DesiredState, ModelState

    from .audit_history import AuditHistory
    from .command import Command

    Transition = Callable[[DesiredState, frozenset[int]], DesiredState]


class DeployCommand:
    """The part that all commands have in common.

    Args:
        coordinator: Plans and tells the workers.
        audit_history: Knows who did what last.
        timeout_seconds: Seconds that a command waits for the workers.
        wall_clock: Unix seconds.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        audit_history: AuditHistory,
        timeout_seconds: float,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._wall_clock = wall_clock
        self._coordinator = coordinator
        self._audit_history = audit_history
        self.timeout_seconds = timeout_seconds

    async def ready(self, command: Command, version: int, *, accept: bool = False) -> ModelState:
        """Have a version ready on every worker.

        Args:
            command: Command that is carried out.
            version: The version.
            accept: Take it although it answers its golden requests otherwise or breaks clients.

        Returns:
            What was wanted of the model before.

        Raises:
            NotFound: It is not in the registry.
            Conflict: It cannot be loaded, and is not wanted any more; or somebody was faster.
            DeadlineExceeded: It is still being loaded, which goes on.
        """
        model = command.model
        coordinator = self._coordinator
        if version not in coordinator.serving(model):
            await coordinator.refresh()
        entry = self.check_known(model)
        before = self.state().model(model)
        self.check_generation(command.generation)
        ready = version in coordinator.serving(model)
        accepted = version in before.accepted or not accept
        if ready and accepted and (command.action != "load" or version in before.loaded):
            return before
        if load_failures(coordinator.fleet, model, version, 0):  # a person knows what has changed
            coordinator.planner.retry(model, version, self._wall_clock())
        published = set(entry.versions) | ({version} if ready else set())
        action = command if command.action == "load" else replace(command, action="load")

        def load(state: DesiredState, _: frozenset[int]) -> DesiredState:
            return change.load(state, model, version, published, accept=accept)

        await self.commit(action, load, version)
        await self._await_ready(replace(command, generation=None), version, before)
        return before

    async def commit(self, command: Command, transition: Transition, version: int | None) -> None:
        """Record a change, make it, and tell the workers."""

        def changed(state: DesiredState, serving: frozenset[int]) -> Changed:
            self.check_generation(command.generation)
            after = transition(state, serving)
            if after == state:
                return state, None
            digest = self.digest(command.model, version)
            return after, event_of(command, state, after, version, digest)

        await self.carry_out(command, changed, version)

    async def carry_out(self, command: Command, changed: Change, version: int | None) -> None:
        """The same with an event of one's own."""
        coordinator = self._coordinator
        _, other = await coordinator.commit(command.model, changed)
        if not other:
            return
        if version is not None and command.action in {"load", "unload"}:
            await coordinator.refresh()
        else:
            await coordinator.replan()

    async def note(self, event: AuditEvent) -> None:
        """Put on record what changes nothing.

        Raises:
            Unavailable: It cannot be recorded.
        """
        await asyncio.to_thread(self._coordinator.store.note, event)

    async def outcome(
        self, command: Command, version: int | None, *, unloaded: bool = False
    ) -> dict[str, Any]:
        """Wait until every worker has followed; who has not is named."""
        fleet, number = self._coordinator.fleet, self._coordinator.planner.target.number
        await fleet.wait(
            lambda: not not_steered(fleet, number, applied=unloaded), self.timeout_seconds
        )
        waiting = not_steered(fleet, number, applied=unloaded)
        return {
            "action": command.action,
            "model": command.model,
            "version": version,
            "generation": self.state().generation,
            "aliases": dict(self.state().model(command.model).aliases),
            "converged": not waiting,
            "waiting": waiting,
        }

    def state(self) -> DesiredState:
        """The state that is wanted."""
        return self._coordinator.store.state

    def default(self, model: str) -> int | None:
        """The version that answers requests that name none."""
        plan = self._coordinator.planner.target.models.get(model)
        return None if plan is None else plan.default

    def former_default(self, model: str) -> int | None:
        """The default version before the present one, where nobody named a stable one."""
        version = self._audit_history.former_default(model)
        standing = self._coordinator.standings().get(model)
        failed = standing is not None and version in standing.failed
        return None if failed else version

    def check_stable_moved(self, model: str) -> None:
        """Refuse a rollback right after a rollout that ended by itself.

        Raises:
            Conflict: The last change is a rollout that ended by itself: the candidate has no
                traffic any more, and ``stable`` never moved.
        """
        record = self._audit_history.aborted_by_itself(model)
        if record is None:
            return
        now = self.state().model(model)
        version, former = now.stable, next(reversed(now.former), None)
        if version is None:
            version, former = self.default(model), self.former_default(model)
        back = ""
        if former is not None:
            back = f". To go back to version {former}: penstock promote {model} {former}"
        raise Conflict(
            f"nothing to roll back: the rollout of version {record.event.evidence.get('version')} "
            f"of model {model!r} ended by itself at {record.time} ({record.event.reason}), and "
            f"version {version} was stable all the time{back}"
        )

    def check_known(self, model: str) -> Any:
        """The registry's entry of a model.

        Raises:
            NotFound: There is none.
        """
        models = self._coordinator.planner.findings.snapshot.models
        if model not in models:
            raise no_such_model(model, models)
        return models[model]

    def check_no_step(self, model: str, version: int) -> None:
        """Refuse to unload a version that a served pipeline needs.

        Raises:
            Conflict: A served pipeline needs the version.
        """
        pipelines = pipelines_with(self._coordinator.planner.target.models, model, version)
        if pipelines:
            raise Conflict(
                f"version {version} of model {model!r} runs a step of {', '.join(pipelines)}; "
                "unload that first"
            )

    def check_generation(self, expected: int | None) -> None:
        """Refuse a command that was decided on another state than the present one.

        Raises:
            Conflict: It was not; it says who did what since.
        """
        try:
            change.check_generation(self.state(), expected)
        except Conflict as conflict:
            raise Conflict(f"{conflict.message} (the last change: {self.last_change()})") from None

    def digest(self, model: str, version: int | None) -> str:
        """Of a version that is wanted; empty while it is not known."""
        result = self._coordinator.planner.findings.results.get((model, version or 0))
        return "" if result is None else result.digest

    def last_change(self) -> str:
        """Describe the change that came first, for a caller whose command came too late."""
        return describe(self._audit_history.last)

    async def _await_ready(self, command: Command, version: int, before: ModelState) -> None:
        """Wait until every worker has the version ready; one that cannot have it is given up."""
        coordinator, model = self._coordinator, command.model
        deadline = asyncio.get_running_loop().time() + self.timeout_seconds
        while True:
            await coordinator.refresh()
            result = coordinator.planner.findings.results.get((model, version))
            if result is None or not result.waiting:
                break
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise DeadlineExceeded(f"version {version} of model {model!r}: {result.reason}")
            await coordinator.fleet.wait(lambda: False, min(left, 0.25))
        if result is None or result.directory is None:
            reason = "it is not in the registry" if result is None else result.reason
            await self._give_up(command, version, before, {"registry": reason})
        fleet, number = coordinator.fleet, coordinator.planner.target.number

        def settled() -> bool:
            return bool(load_failures(fleet, model, version, number)) or not not_ready(
                fleet, model, version
            )

        left = deadline - asyncio.get_running_loop().time()
        await fleet.wait(settled, max(0.0, left))
        failures = load_failures(fleet, model, version, number)
        if failures:
            await self._give_up(command, version, before, failures)
        if waiting := not_ready(fleet, model, version):
            raise DeadlineExceeded(
                f"version {version} of model {model!r} is not ready yet: {_listed(waiting)}; "
                "loading goes on, and nothing else has changed"
            )

    async def _give_up(
        self, command: Command, version: int, before: ModelState, failures: dict[str, str]
    ) -> None:
        """Want of the model what was wanted before the load, and say so."""

        def undo(state: DesiredState, _: frozenset[int]) -> DesiredState:
            return change.put_back(state, command.model, version, before)

        reason = f"it could not be loaded: {_listed(failures)}"
        failed = replace(command, action="load.failed", reason=reason)
        if version not in before.loaded:
            await self.commit(failed, undo, version)
        serving = sorted(self._coordinator.serving(command.model))
        rest = f"version {serving[-1]} goes on serving" if serving else "no version is served"
        if len(serving) > 1:
            rest = f"versions {', '.join(map(str, serving))} go on serving"
        raise Conflict(
            f"version {version} of model {command.model!r} cannot be loaded: {_listed(failures)}; "
            f"{rest}"
        )


def _listed(reasons: dict[str, str]) -> str:
    return "; ".join(f"{who}: {why}" for who, why in sorted(reasons.items()))
