"""The commands of operators. Each is on record before it takes effect, and answers when it has.

Whatever gives a version traffic first makes sure that every worker has it ready; then it is one
pointer. While a version is being loaded, other commands are carried out.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from penstock.server.errors import Conflict, DeadlineExceeded, NotFound
from penstock.server.registry import state as change
from penstock.server.registry.state import STABLE, DesiredState, ModelState

from .command import describe, event_of
from .convergence import load_failures, not_ready, not_steered

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.server.processes.coordinator import Coordinator

    from .chronicle import Chronicle
    from .command import Command

    Transition = Callable[[DesiredState, frozenset[int]], DesiredState]


class Operations:
    """Carries out commands.

    Args:
        coordinator: Plans and tells the workers.
        chronicle: Knows who did what last.
        timeout_seconds: How long a command waits for the workers.
    """

    def __init__(
        self, coordinator: Coordinator, chronicle: Chronicle, timeout_seconds: float
    ) -> None:
        self._coordinator = coordinator
        self._chronicle = chronicle
        self._timeout_seconds = timeout_seconds
        self._committing = asyncio.Lock()

    async def load(self, command: Command, version: int) -> dict[str, Any]:
        """Have a version loaded on every worker.

        Raises:
            NotFound: It is not in the registry.
            Conflict: It cannot be loaded, and is not wanted any more; or somebody was faster.
            DeadlineExceeded: It is still being loaded, which goes on.
        """
        await self._bring_up(command, version)
        return await self._outcome(command, version)

    async def unload(self, command: Command, version: int) -> dict[str, Any]:
        """Have a version unloaded from every worker.

        Raises:
            NotFound: There is no such model.
            Conflict: An alias points at it, or somebody was faster.
        """
        self._check_known(command.model)
        await self._commit(
            command, lambda state, _: change.unload(state, command.model, version), version
        )
        return await self._outcome(command, version, unloaded=True)

    async def promote(self, command: Command, version: int) -> dict[str, Any]:
        """Make a version stable."""

        def transition(state: DesiredState, serving: frozenset[int]) -> DesiredState:
            before = self._default(command.model)
            if state.model(command.model).stable is None and before in serving - {version}:
                # What answered until now is what a rollback goes back to.
                state = change.promote(state, command.model, before, serving)
            return change.promote(state, command.model, version, serving)

        return await self._point(command, version, transition)

    async def rollback(self, command: Command) -> dict[str, Any]:
        """Make stable what was stable before.

        Raises:
            NotFound: Nothing was.
        """
        self._check_known(command.model)
        former = self._state().model(command.model).former
        if not former:
            change.rollback(self._state(), command.model, ())  # explains itself
        return await self._point(
            command,
            former[-1],
            lambda state, serving: change.rollback(state, command.model, serving),
        )

    async def set_alias(self, command: Command, alias: str, version: int) -> dict[str, Any]:
        """Point an alias at a version."""
        if alias == STABLE:
            return await self.promote(command, version)
        change.check_alias(alias)
        return await self._point(
            command,
            version,
            lambda state, serving: change.set_alias(state, command.model, alias, version, serving),
        )

    async def remove_alias(self, command: Command, alias: str) -> dict[str, Any]:
        """Forget an alias."""
        self._check_known(command.model)
        await self._commit(
            command, lambda state, _: change.remove_alias(state, command.model, alias), None
        )
        return await self._outcome(command, None)

    async def _point(
        self, command: Command, version: int, transition: Transition
    ) -> dict[str, Any]:
        """Bring the version up, then move the pointer."""
        before = await self._bring_up(command, version)
        wanted = self._state().model(command.model)

        def restored(state: DesiredState, serving: frozenset[int]) -> DesiredState:
            now = state.model(command.model)
            if now != wanted:
                last = describe(self._chronicle.last)
                raise Conflict(f"while version {version} was being loaded: {last}")
            # An alias keeps it loaded from now on; the order to load it has done its work.
            models = {**state.models, command.model: replace(now, loaded=before.loaded)}
            after = transition(replace(state, models=models), serving)
            if after.generation == state.generation and after != state:
                after = replace(after, generation=state.generation + 1)
            return after

        await self._commit(replace(command, generation=None), restored, version)
        return await self._outcome(command, version)

    async def _bring_up(self, command: Command, version: int) -> ModelState:
        """Have a version ready everywhere; returns what was wanted of the model before."""
        model = command.model
        coordinator = self._coordinator
        if version not in self._serving(model):
            await coordinator.refresh()
        entry = self._check_known(model)
        before = self._state().model(model)
        self._check_generation(command.generation)
        ready = version in self._serving(model)
        if ready and (command.action != "load" or version in before.loaded):
            return before
        published = set(entry.versions) | ({version} if ready else set())
        action = command if command.action == "load" else replace(command, action="load")
        await self._commit(
            action, lambda state, _: change.load(state, model, version, published), version
        )
        await self._await_ready(replace(command, generation=None), version, before)
        return before

    async def _await_ready(self, command: Command, version: int, before: ModelState) -> None:
        """Wait until every worker has the version ready; one that cannot have it is given up."""
        coordinator, model = self._coordinator, command.model
        deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        while True:
            await coordinator.refresh()
            offer = coordinator.planner.findings.offers.get((model, version))
            if offer is None or not offer.waiting:
                break
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise DeadlineExceeded(f"version {version} of model {model!r}: {offer.reason}")
            await coordinator.fleet.wait(lambda: False, min(left, 0.25))
        if offer is None or offer.directory is None:
            reason = "it is not in the registry" if offer is None else offer.reason
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
            now = state.model(command.model)
            models = {**state.models, command.model: replace(now, loaded=before.loaded)}
            return DesiredState(state.generation + 1, models)

        reason = f"it could not be loaded: {_listed(failures)}"
        failed = replace(command, action="load.failed", reason=reason)
        if version not in before.loaded:
            await self._commit(failed, undo, version)
        raise Conflict(
            f"version {version} of model {command.model!r} cannot be loaded: {_listed(failures)}; "
            "what served before goes on serving"
        )

    async def _commit(self, command: Command, transition: Transition, version: int | None) -> None:
        """Record a change, make it, and tell the workers."""
        coordinator = self._coordinator
        async with self._committing:
            self._check_generation(command.generation)
            state = self._state()
            after = transition(state, self._serving(command.model))
            if after == state:
                return
            offer = coordinator.planner.findings.offers.get((command.model, version or 0))
            digest = "" if offer is None else offer.digest
            event = event_of(command, state, after, version, digest)
            await asyncio.to_thread(coordinator.store.commit, after, event, state.generation)
        if version is not None and command.action in {"load", "unload"}:
            await coordinator.refresh()
        else:
            await coordinator.replan()

    async def _outcome(
        self, command: Command, version: int | None, *, unloaded: bool = False
    ) -> dict[str, Any]:
        """Wait until every worker has followed; who has not is named."""
        fleet, number = self._coordinator.fleet, self._coordinator.planner.target.number
        await fleet.wait(
            lambda: not not_steered(fleet, number, applied=unloaded), self._timeout_seconds
        )
        waiting = not_steered(fleet, number, applied=unloaded)
        return {
            "action": command.action,
            "model": command.model,
            "version": version,
            "generation": self._state().generation,
            "aliases": dict(self._state().model(command.model).aliases),
            "converged": not waiting,
            "waiting": waiting,
        }

    def _state(self) -> DesiredState:
        return self._coordinator.store.state

    def _serving(self, model: str) -> frozenset[int]:
        standing = self._coordinator.standings().get(model)
        return frozenset() if standing is None else standing.serving

    def _default(self, model: str) -> int | None:
        plan = self._coordinator.planner.target.models.get(model)
        return None if plan is None else plan.default

    def _check_known(self, model: str) -> Any:
        models = self._coordinator.planner.findings.snapshot.models
        if model not in models:
            raise NotFound(f"there is no model {model!r}; there are {', '.join(models) or 'none'}")
        return models[model]

    def _check_generation(self, expected: int | None) -> None:
        try:
            change.check_generation(self._state(), expected)
        except Conflict as conflict:
            last = describe(self._chronicle.last)
            raise Conflict(f"{conflict.message} (the last change: {last})") from None


def _listed(reasons: dict[str, str]) -> str:
    return "; ".join(f"{who}: {why}" for who, why in sorted(reasons.items()))
