"""The commands of operators. Each is on record before it takes effect, and answers when it has.

Whatever gives a version traffic first makes sure that every worker has it ready; then it is one
pointer. While a version is being loaded, other commands are carried out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from penstock.server.desired_state import rollout_state
from penstock.server.desired_state import state as change
from penstock.server.desired_state.state import STABLE, DesiredState
from penstock.server.errors import Conflict

from .command import event_of
from .rollback_check import INVALID, skipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.server.control.coordination.coordinator import Changed
    from penstock.server.control.coordination.rollout_controller import RolloutController
    from penstock.server.desired_state.state import ModelState

    from .command import Command
    from .deploy_command import DeployCommand
    from .rollback_check import RollbackCheck

    Transition = Callable[[DesiredState, frozenset[int]], DesiredState]


class Operations:
    """Carries out commands.

    Args:
        deploy: Has versions ready, and changes what is wanted.
        controller: Controller of the rollouts, which end when a person moves ``stable``.
        check: Verifies rollbacks.
    """

    def __init__(
        self, deploy: DeployCommand, controller: RolloutController, check: RollbackCheck
    ) -> None:
        self._deploy = deploy
        self._check = check
        self._controller = controller

    async def load(self, command: Command, version: int, *, accept: bool = False) -> dict[str, Any]:
        """Have a version loaded on every worker.

        Args:
            command: Command that is carried out.
            version: The version.
            accept: Although it answers its golden requests otherwise or breaks clients.

        Raises:
            NotFound: It is not in the registry.
            Conflict: It cannot be loaded, and is not wanted any more; or somebody was faster.
            DeadlineExceeded: It is still being loaded, which goes on.
        """
        await self._deploy.ready(command, version, accept=accept)
        return await self._deploy.outcome(command, version)

    async def unload(self, command: Command, version: int) -> dict[str, Any]:
        """Have a version unloaded from every worker.

        Raises:
            NotFound: There is no such model.
            Conflict: An alias points at it, it is on trial, it runs a step of a served pipeline, or
                somebody was faster.
        """
        self._deploy.check_known(command.model)

        def transition(state: DesiredState, _: frozenset[int]) -> DesiredState:
            rollout_state.check_unload(state, command.model, version)
            self._deploy.check_no_step(command.model, version)
            return change.unload(state, command.model, version)

        await self._deploy.commit(command, transition, version)
        return await self._deploy.outcome(command, version, unloaded=True)

    async def promote(self, command: Command, version: int) -> dict[str, Any]:
        """Make a version stable; a rollout of the model ends.

        Raises:
            Conflict: It is a rollout's candidate without the approval that this requires; or it
                cannot be loaded, or somebody was faster.
        """

        def transition(state: DesiredState, serving: frozenset[int]) -> DesiredState:
            before = self._deploy.default(command.model)
            if state.model(command.model).stable is None and before in serving - {version}:
                # What answered until now is what a rollback goes back to.
                state = change.promote(state, command.model, before, serving)
            state = self._overrule(state, command, version)
            return change.promote(state, command.model, version, serving)

        self._overrule(self._deploy.state(), command, version)  # before anything is loaded
        return await self._point(command, version, transition)

    async def rollback(
        self, command: Command, *, force: bool = False, dry_run: bool = False
    ) -> dict[str, Any]:
        """Make stable what was stable before; a rollout of the model ends.

        Where nobody has named a stable version yet, that is what answered by itself before.

        Args:
            command: Command, which names the model.
            force: Without a verification on today's data.
            dry_run: The verification alone.

        Raises:
            NotFound: Nothing was.
            Conflict: The last that happened is a rollout that ended by itself, or the version is
                not valid on today's data.
        """
        model = command.model
        self._deploy.check_known(model)
        self._deploy.check_stable_moved(model)
        now = self._deploy.state().model(model)
        unnamed = self._deploy.former_default(model) if now.stable is None else None
        if not now.former and unnamed is None:
            change.rollback(self._deploy.state(), model, ())  # explains itself

        def transition(state: DesiredState, serving: frozenset[int]) -> DesiredState:
            if state.model(model).former != now.former:  # it would go back to another version
                last = self._deploy.last_change()
                raise Conflict(f"while version {version} was being verified: {last}")
            state = self._overrule(state, command, None)
            if unnamed is not None and not state.model(model).former:
                return change.promote(state, model, unnamed, serving)
            return change.rollback(state, model, serving)

        version = now.former[-1] if now.former else unnamed
        assert version is not None
        before = await self._deploy.ready(command, version)
        found = skipped(version) if force else await self._check.verify(model, version)
        if dry_run or found["state"] == INVALID:
            await self._as_before(command, version, before)
        if dry_run:
            return {"model": model, "version": version, "verification": found}
        if found["state"] == INVALID:
            await self._refuse(command, version, found)
        evidence = {"verification": found}
        return {**await self._move(command, version, before, transition, evidence), **evidence}

    async def _as_before(self, command: Command, version: int, before: ModelState) -> None:
        """Unload a version again that was loaded for its verification alone."""

        def undo(state: DesiredState, _: frozenset[int]) -> DesiredState:
            return change.put_back(state, command.model, version, before)

        unload = replace(command, action="unload", generation=None)
        await self._deploy.commit(unload, undo, version)

    async def _refuse(self, command: Command, version: int, found: dict[str, Any]) -> None:
        """Put on record that a rollback was refused, and say so."""
        state = self._deploy.state()
        event = event_of(replace(command, action="rollback.refused"), state, state, version, "")
        evidence = {**event.evidence, "verification": found}
        await self._deploy.note(replace(event, reason=found["reason"], evidence=evidence))
        raise Conflict(
            f"version {version} of model {command.model!r} is not valid on today's data: "
            f"{found['reason']}; nothing has changed; with --force it becomes stable all the same"
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
        self._deploy.check_known(command.model)
        await self._deploy.commit(
            command, lambda state, _: change.remove_alias(state, command.model, alias), None
        )
        return await self._deploy.outcome(command, None)

    async def _point(
        self, command: Command, version: int, transition: Transition
    ) -> dict[str, Any]:
        """Bring the version up, then move the pointer."""
        before = await self._deploy.ready(command, version)
        return await self._move(command, version, before, transition, {})

    async def _move(
        self,
        command: Command,
        version: int,
        before: ModelState,
        transition: Transition,
        more: dict[str, Any],
    ) -> dict[str, Any]:
        """Move the pointer to a version that is ready; `more` goes on record, too."""
        deploy, model = self._deploy, command.model
        wanted = deploy.state().model(model)

        def restored(state: DesiredState, serving: frozenset[int]) -> Changed:
            now = state.model(model)
            if replace(now, rollout={}) != replace(wanted, rollout={}):
                # A rollout may have moved meanwhile: a person's decision wins.
                raise Conflict(f"while version {version} was being loaded: {deploy.last_change()}")
            # An alias keeps it loaded from now on; the order to load it has done its work.
            loaded = now.loaded if version in before.loaded else now.loaded - {version}
            models = {**state.models, model: replace(now, loaded=loaded)}
            after = transition(replace(state, models=models), serving)
            if after == state:
                return state, None
            # However many steps it took: one change.
            after = replace(after, generation=state.generation + 1)
            event = event_of(command, state, after, version, deploy.digest(model, version))
            event = replace(event, evidence={**event.evidence, **more})
            ended = rollout_state.recorded(after.model(model))
            if after.model(model).rollout != now.rollout and ended is not None:
                evidence = {**event.evidence, "rollout": rollout_state.evidence_of(ended)}
                event = replace(event, evidence=evidence)
            return after, event

        await deploy.carry_out(command, restored, version)
        self._controller.wake()
        return await deploy.outcome(command, version)

    def _overrule(self, state: DesiredState, command: Command, version: int | None) -> DesiredState:
        """The state without a rollout in progress, on the newest counts."""
        fresh = self._controller.fresh(state, command.model)
        now = self._controller.clock()
        return rollout_state.overrule(fresh, command.model, version, command.actor, now)
