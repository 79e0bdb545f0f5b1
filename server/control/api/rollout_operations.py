"""The commands about rollouts: starting one, and what a person may do with it afterwards."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.latency_quantile import latency_quantile
from penstock.server.desired_state import rollout_state
from penstock.server.errors import Conflict, InvalidRequest, NotFound
from penstock.server.rollout import commands
from penstock.server.rollout.phase import Phase
from penstock.server.rollout.rollout import begin
from penstock.server.rollout.rollout_spec import Kind

from .rollout_plan import measured, plan, supposed
from .rollout_report import summary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.server.control.coordination.coordinator import Changed, Coordinator
    from penstock.server.control.coordination.exposition import Exposition
    from penstock.server.control.coordination.rollout_controller import RolloutController
    from penstock.server.desired_state.state import DesiredState
    from penstock.server.rollout.rollout import Rollout
    from penstock.server.rollout.rollout_spec import RolloutSpec
    from penstock.server.rollout.vetoes import Vetoes

    from .command import Command
    from .deploy_command import DeployCommand
    from .traffic import TrafficWindow

    Manual = Callable[[Rollout, str, str, float], Rollout]

#: With fewer requests of stable its 99th percentile says little, and is left out.
_MIN_REQUESTS: Final = 100
_P99: Final = 0.99

#: What a person may do with a rollout in progress, an approval aside.
ACTIONS: Final[dict[str, Manual]] = {
    "pause": commands.pause,
    "resume": commands.resume,
    "promote": commands.promote,
    "abort": commands.abort,
    "finish": commands.finish,
}


class RolloutOperations:
    """Carries out commands about rollouts.

    Args:
        deploy: Has versions ready.
        controller: Carries rollouts on.
        coordinator: Plans and tells the workers.
        exposition: Reads the counters.
        vetoes: Alarms that forbid a start.
    """

    def __init__(
        self,
        deploy: DeployCommand,
        controller: RolloutController,
        coordinator: Coordinator,
        exposition: Exposition,
        vetoes: Vetoes,
    ) -> None:
        self._deploy = deploy
        self._controller = controller
        self._coordinator = coordinator
        self._exposition = exposition
        self._vetoes = vetoes
        self._one_plan = asyncio.Lock()

    async def start(
        self, command: Command, token: str, kind: Kind, version: int, asked: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Begin a rollout, once every worker has the candidate ready.

        Args:
            command: Command with its actor and reason.
            token: Name of the requester's token: an approval must come by another.
            kind: Shadow, canary or A/B.
            version: The candidate.
            asked: Terms, where they are to be others than those of ``model.toml``.

        Raises:
            NotFound: There is no such model or version.
            InvalidRequest: The terms make no sense.
            Conflict: Another rollout is in progress, an alarm forbids it, the candidate cannot be
                loaded or is what answers already, or somebody was faster.
            DeadlineExceeded: The candidate is still being loaded, which goes on.
        """
        model = command.model
        spec, stable = await self._terms(command, kind, version, asked)
        if kind is Kind.SHADOW:
            before = self._deploy.state().model(model)
        else:
            before = await self._deploy.ready(command, version)
        wanted = self._deploy.state().model(model)

        def change(state: DesiredState, serving: frozenset[int]) -> Changed:
            if state.model(model) != wanted:
                last = self._deploy.last_change()
                raise Conflict(f"while version {version} was being loaded: {last}")
            own = version not in before.loaded  # the order to load it has done its work
            restored = replace(wanted, loaded=wanted.loaded - {version} if own else wanted.loaded)
            loaded = replace(state, models={**state.models, model: restored})
            rollout = self._begin(command, token, kind, (stable, version), spec, state)
            after = rollout_state.start(loaded, rollout, serving)
            event = rollout_state.event_of(
                "start", command.actor, state, after, rollout, command.reason
            )
            return after, event

        await self._deploy.carry_out(command, change, version)
        if kind is Kind.SHADOW:
            await self._coordinator.refresh()  # nobody else may want its files
        self._controller.wake()
        await self._controller.wait(
            lambda: self._phase(model) is not Phase.PREPARING, self._deploy.timeout_seconds
        )
        rollout = self._rollout(model)
        if rollout.phase is Phase.ABORTED:
            raise Conflict(f"rollout {rollout.id} was aborted at once: {rollout.reason}")
        return await self._outcome(command, version)

    async def plan(
        self,
        command: Command,
        version: int,
        asked: Mapping[str, Any],
        supposed_of: Mapping[str, Any],
        traffic: TrafficWindow,
    ) -> dict[str, Any]:
        """The forecast of a canary; nothing is started or loaded.

        Args:
            command: About which model.
            version: The candidate.
            asked: As in `start`.
            supposed_of: Assumptions about the traffic, by the keys of `rollout_plan.SUPPOSED`.
            traffic: Figures of the last minute.

        Raises:
            NotFound: There is no such model or version.
            InvalidRequest: The terms make no sense.
            Conflict: It could not be started.
        """
        model = command.model
        spec, stable = await self._terms(command, Kind.CANARY, version, asked)
        blocks = (await self._exposition.figures()).blocks
        slots, figures = blocks.get((model, str(stable))), await traffic.now()
        now = measured(figures, slots, model, stable, spec.slow_seconds)
        now = supposed(now, supposed_of)
        async with self._one_plan:  # others need the threads, and a plan takes a processor
            return await asyncio.to_thread(plan, model, (stable, version), spec, now)

    async def act(self, command: Command) -> dict[str, Any]:
        """Pause, resume, promote, abort or finish the rollout in progress.

        Raises:
            NotFound: None is in progress.
            Conflict: It cannot be done in its phase, or lacks an approval.
        """
        manual = ACTIONS[command.action]

        def apply(rollout: Rollout, now: float) -> Rollout:
            self._deploy.check_generation(command.generation)
            return manual(rollout, command.actor, command.reason, now)

        rollout = await self._controller.command(
            command.model, command.action, command.actor, apply
        )
        return await self._outcome(command, rollout.candidate)

    async def approve(self, command: Command, token: str, digest: str) -> dict[str, Any]:
        """Approve the candidate.

        Args:
            command: Command with its actor and reason.
            token: Name of the approver's token.
            digest: Digest of the version that the approver has examined.

        Raises:
            NotFound: No rollout is in progress.
            Forbidden: It is the requester's own token.
            Conflict: The candidate is another one.
        """

        def apply(rollout: Rollout, now: float) -> Rollout:
            self._deploy.check_generation(command.generation)
            return commands.approve(rollout, token, digest, now)

        reason = command.reason or f"approves {digest}"
        rollout = await self._controller.command(
            command.model, command.action, command.actor, apply, reason
        )
        return await self._outcome(command, rollout.candidate)

    async def _terms(
        self, command: Command, kind: Kind, version: int, asked: Mapping[str, Any]
    ) -> tuple[RolloutSpec, int]:
        """The terms of a rollout that may start, and the version that stays stable meanwhile."""
        model = command.model
        await self._coordinator.refresh()
        entry = self._deploy.check_known(model)
        self._deploy.check_generation(command.generation)
        spec = entry.config.rollout.terms_of(kind, asked)
        if kind is not Kind.SHADOW:
            spec = replace(spec, segments=entry.config.segments)
        stable = self._check_start(model, version, entry.versions)
        slo = entry.config.batching.slo_seconds
        spec = replace(spec, slo_seconds=slo if math.isfinite(slo) else 0.0)
        return replace(spec, slow_seconds=await self._slow_seconds(model, stable, spec)), stable

    def _check_start(self, model: str, version: int, published: Mapping[int, Any]) -> int:
        """The version that stays stable meanwhile.

        Raises:
            NotFound: The candidate is not in the registry.
            Conflict: It cannot be tried now.
        """
        if version not in published:
            listed = ", ".join(map(str, published)) or "none"
            raise NotFound(
                f"version {version} of model {model!r} is not published; there are {listed}"
            )
        running = rollout_state.in_progress(self._deploy.state().model(model))
        if running is not None and running.phase is not Phase.WATCHING:
            raise Conflict(
                f"rollout {running.id} of model {model!r} is {running.phase}: version "
                f"{running.candidate} on trial; abort or finish it first"
            )
        stable = self._deploy.state().model(model).stable or self._deploy.default(model)
        if stable is None:
            raise Conflict(f"no version of model {model!r} answers yet; there is nothing to try")
        if stable == version:
            raise Conflict(
                f"version {version} of model {model!r} is what answers already; make the version "
                f"stable that it is to be compared with: penstock promote {model} VERSION"
            )
        vetoes = self._vetoes.against(model, version, self._controller.clock())
        if vetoes:
            raise Conflict(f"alarms stand against it: {', '.join(vetoes)}")
        return stable

    async def _slow_seconds(self, model: str, stable: int, terms: RolloutSpec) -> float:
        """The first limit of what is slow; 0 if neither objective nor percentile is known.

        The percentile is that of the latency histogram, linear within its bucket.
        """
        slots = (await self._exposition.figures()).blocks.get((model, str(stable)))
        p99 = None
        if slots is not None:
            buckets = slots[layout.LATENCY.first : layout.LATENCY.total]
            p99 = latency_quantile(buckets, _P99) if sum(buckets) >= _MIN_REQUESTS else None
        return max(terms.slo_seconds, terms.slow_factor * (p99 or 0.0))

    def _begin(
        self,
        command: Command,
        token: str,
        kind: Kind,
        versions: tuple[int, int],
        spec: RolloutSpec,
        state: DesiredState,
    ) -> Rollout:
        digest = self._deploy.digest(command.model, versions[1])
        if spec.require_approval and not digest:
            raise InvalidRequest("the candidate's digest is not known, so nobody can approve it")
        rollout_id = f"{command.model}-{state.generation + 1}"
        now = self._controller.clock()
        return begin(rollout_id, kind, command.model, versions, digest, spec, token, now)

    def _rollout(self, model: str) -> Rollout:
        progress = self._controller.progress(model)
        assert progress is not None
        return progress.rollout

    def _phase(self, model: str) -> Phase:
        return self._rollout(model).phase

    async def _outcome(self, command: Command, version: int) -> dict[str, Any]:
        outcome = await self._deploy.outcome(command, version)
        progress = self._controller.progress(command.model)
        assert progress is not None
        return {**outcome, "rollout": summary(progress)}
