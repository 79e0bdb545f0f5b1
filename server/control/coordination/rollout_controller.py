"""Carries rollouts on: looks at what is to be seen, lets the decision be made, and makes it so.

Whether and where a rollout moves is decided by `penstock.server.rollout.decision`. Here is what
touches the world: counters are read, a move is put on record and on disk before the workers are
told, counts are kept on disk in between. While no rollout is in progress nothing is looked at.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from penstock.server.desired_state.rollout_state import event_of, in_progress, move, put, recorded
from penstock.server.desired_state.store import ACTOR
from penstock.server.errors import ApiError, Conflict, NotFound
from penstock.server.rollout.checkpoint import skeleton
from penstock.server.rollout.decision import decide
from penstock.server.rollout.evidence import evidence_against
from penstock.server.rollout.history import entry_of, with_entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.server.desired_state.state import DesiredState
    from penstock.server.rollout.checkpoint import Checkpoints
    from penstock.server.rollout.counts import Counts
    from penstock.server.rollout.decision import Decision
    from penstock.server.rollout.history import HistoryEntry
    from penstock.server.rollout.rollout import Rollout

    from .coordinator import Changed, Coordinator
    from .rollout_observer import Observer

    Apply = Callable[[Rollout, float], Rollout]

LOG = logging.getLogger("penstock.rollout")

CHECK_SECONDS: Final = 0.5
#: Counts that changed are on disk after this; what was seen over time, after the second.
SAVE_SECONDS: Final = 1.0
SAVE_HISTORY_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Progress:
    """A rollout as it was last looked at.

    Attributes:
        rollout: With its newest counts.
        cause: Event that it waits for, as a short code.
        message: The same for people.
        history: Evidence over time.
    """

    rollout: Rollout
    cause: str
    message: str
    history: tuple[HistoryEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Saved:
    """The checkpoint of a rollout on disk, beside the desired state.

    Attributes:
        counts: By step.
        at: Unix seconds of the write.
        history_at: Unix seconds of the last write of the history.
    """

    counts: list[Counts]
    at: float
    history_at: float


class RolloutController:
    """Looks after the rollouts of all models.

    Args:
        coordinator: Desired state, target and workers.
        observer: Reads the counters of both arms.
        checkpoints: Keep counts on disk.
        clock: Unix seconds.

    Attributes:
        clock: Unix seconds.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        observer: Observer,
        checkpoints: Checkpoints,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._coordinator = coordinator
        self._observer = observer
        self._checkpoints = checkpoints
        self.clock = clock
        self._progress: dict[str, Progress] = {}
        # Model -> the record in the desired state that its progress was read from.
        self._read_from: dict[str, object] = {}
        self._saved: dict[str, Saved | None] = {}
        self._wake = asyncio.Event()
        self._looked = asyncio.Event()

    def wake(self) -> None:
        """Look soon: something was commanded or reported."""
        self._wake.set()

    def progress(self, model: str) -> Progress | None:
        """The last rollout of a model, over or not; ``None`` if there never was one."""
        content = self._coordinator.store.state.model(model).rollout
        known = self._progress.get(model)
        if known is not None and self._read_from.get(model) is content:
            return known  # the very record that it was read from: nobody moved it
        now = recorded(self._coordinator.store.state.model(model))
        if now is None:
            return None
        self._read_from[model] = content
        if known is not None and skeleton(known.rollout) == skeleton(now):
            return known
        if known is not None and known.rollout.id == now.id:  # it was moved
            entry = entry_of(now, evidence_against(now), now.phase_since)
            history = with_entry(known.history, entry)
        else:
            history = self._checkpoints.history(now.id)
        if not now.final:
            now = self._checkpoints.newest(now)
        known = Progress(now, now.cause, now.reason, history)
        self._progress[model] = known
        return known

    def known(self) -> list[Rollout]:
        """The last rollout of each model; may be called from any thread."""
        return [one.rollout for one in list(self._progress.values())]

    def fresh(self, state: DesiredState, model: str) -> DesiredState:
        """The state with the newest counts of the model's rollout; the same generation."""
        progress = self.progress(model)
        if progress is None or progress.rollout.final:
            return state
        return replace(put(state, progress.rollout), generation=state.generation)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._wake.clear()
            every = self._every()
            running = [one for one in every if not one.rollout.final]
            await self._bury([one for one in every if one.rollout.final])
            self._observer.forget([one.rollout for one in running])
            self._saved = {one.rollout.id: self._saved.get(one.rollout.id) for one in running}
            if not running:
                self._looked.set()
                await self._wake.wait()
                continue
            for progress in running:
                try:
                    await self._look(progress)
                except (ApiError, OSError) as error:
                    LOG.warning("rollout %s stays where it is: %s", progress.rollout.id, error)
            self._looked.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._wake.wait()

    async def wait(self, done: Callable[[], bool], timeout_seconds: float) -> bool:
        """Wait until a look makes it true, for so long at most; returns whether it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while not done():
                    self._looked.clear()
                    await self._looked.wait()
        return done()

    async def command(
        self, model: str, action: str, actor: str, apply: Apply, reason: str = ""
    ) -> Rollout:
        """Let a person move the rollout in progress.

        Args:
            model: Name of the model.
            action: For the record.
            actor: Name of the token of that person.
            apply: Makes the rollout after the command from the rollout before and the time.
            reason: For the record; by default the rollout's own.

        Raises:
            NotFound: None is in progress.
            Conflict: It cannot be done now.
            Unavailable: It could not be recorded; nothing changed.
        """

        def change(state: DesiredState, serving: frozenset[int]) -> Changed:
            progress = self.progress(model)
            if progress is None or progress.rollout.final:
                raise NotFound(f"no rollout of model {model!r} is in progress")
            rollout = apply(progress.rollout, self.clock())
            after = move(state, rollout, serving)
            return after, event_of(action, actor, state, after, rollout, reason)

        after, _ = await self._coordinator.commit(model, change)
        await self._coordinator.replan()
        self.wake()
        rollout = recorded(after.model(model))
        assert rollout is not None
        return rollout

    async def _look(self, before: Progress) -> None:
        rollout = before.rollout
        snapshot = await self._observer.observe(rollout, self.clock())
        if self.progress(rollout.model) is not before:
            return  # somebody moved it meanwhile; what was counted is counted at the next look
        now = self.clock()
        decision = decide(rollout, snapshot, now)
        if decision.event is not None:
            await self._move(rollout, decision)
            return
        history = with_entry(before.history, entry_of(decision.rollout, decision.evidence, now))
        after = Progress(decision.rollout, decision.cause, decision.message, history)
        self._progress[rollout.model] = after
        await self._save(after, now)

    async def _move(self, rollout: Rollout, decision: Decision) -> None:
        """Make the decision so, unless the state is another by now."""

        def change(state: DesiredState, serving: frozenset[int]) -> Changed:
            now = in_progress(state.model(rollout.model))
            if now is None or skeleton(now) != skeleton(rollout):
                raise Conflict("somebody else moved it")
            moved, evidence = decision.rollout, decision.evidence
            after = move(state, moved, serving)
            return after, event_of(
                str(decision.event), ACTOR, state, after, moved, evidence=evidence
            )

        await self._coordinator.commit(rollout.model, change)
        LOG.info("rollout %s: %s: %s", rollout.id, decision.rollout.phase, decision.message)
        await self._coordinator.replan()
        self.wake()

    async def _save(self, progress: Progress, now: float) -> None:
        """Keep on disk what is new, not too often."""
        rollout = progress.rollout
        counts = [step.counts for step in rollout.steps]
        saved = self._saved.get(rollout.id) or Saved([], 0.0, now)
        if counts != saved.counts and now - saved.at >= SAVE_SECONDS:
            await asyncio.to_thread(self._checkpoints.save, rollout)
            saved = Saved(counts, now, saved.history_at)
        if now - saved.history_at >= SAVE_HISTORY_SECONDS:
            await asyncio.to_thread(self._checkpoints.save_history, rollout.id, progress.history)
            saved = Saved(saved.counts, saved.at, now)
        self._saved[rollout.id] = saved

    async def _bury(self, ended: list[Progress]) -> None:
        """Keep what was seen of those that were in progress at the last look."""
        for one in ended:
            if one.rollout.id in self._saved:
                with suppress(OSError):
                    await asyncio.to_thread(
                        self._checkpoints.save_history, one.rollout.id, one.history
                    )

    def _every(self) -> list[Progress]:
        """The last rollout of each model."""
        models = self._coordinator.store.state.models
        found = [self.progress(name) for name, now in models.items() if now.rollout]
        return [one for one in found if one is not None]
