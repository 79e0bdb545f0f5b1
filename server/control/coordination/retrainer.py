"""Starts the retraining of one model, and follows it to its end."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec.structs import replace

from penstock.server.errors import Conflict, NotFound, Unavailable
from penstock.server.retrain.decision import Decision, decide
from penstock.server.retrain.export_order import ExportOrder
from penstock.server.retrain.export_process import ExportRefused, run_export
from penstock.server.retrain.progress import Step, failed, given_up, next_step, refused, tried
from penstock.server.retrain.run import BY_HAND, Phase
from penstock.server.retrain.targets.contract import Order, TargetFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.server.config.retrain_options import RetrainOptions
    from penstock.server.retrain.run import Run
    from penstock.server.retrain.targets.contract import Target

    from .retrain_runs import RetrainRuns
    from .retrain_surroundings import RetrainSurroundings

T = TypeVar("T")

LOG = logging.getLogger("penstock.retrain")

ACTOR: Final = "retrain"
#: Between two looks at what may start a run.
_CHECK_SECONDS: Final = 1.0
_UNSEEN: Final = Decision(start=False, reason="nothing was looked at yet")


class Retrainer:
    """The retraining of one model. Its methods are called on one event loop.

    Args:
        options: Of the model.
        target: Runs the training.
        runs: Remembers the runs.
        around: What it looks at.

    Attributes:
        options: Of the model.
        runs: Its runs.
        decision: What was decided last.
    """

    def __init__(
        self,
        options: RetrainOptions,
        target: Target,
        runs: RetrainRuns,
        around: RetrainSurroundings,
    ) -> None:
        self.options = options
        self.runs = runs
        self.decision = _UNSEEN
        self._target = target
        self._around = around
        self._clock = around.clock
        self._woken = asyncio.Event()
        # A target that hangs keeps nobody else waiting; an export ends with its thread.
        self._executor: ThreadPoolExecutor | None = None

    async def run(self) -> None:
        """Decide, act, and wait, until cancelled."""
        while True:
            try:
                await self.turn()
            except (Unavailable, OSError) as error:
                if self.decision.reason != (reason := f"nothing can be started: {error}"):
                    LOG.warning("%s: %s", self.options.model, reason)
                self.decision = Decision(start=False, reason=reason)
            try:
                async with asyncio.timeout(min(_CHECK_SECONDS, self.options.poll_seconds)):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()

    def close(self) -> None:
        """Let go of the thread; what it does is not waited for."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)

    async def turn(self) -> None:
        """Take the next step of the run that goes on, or decide whether one starts.

        Raises:
            Unavailable: It cannot be put on record.
            OSError: It cannot be remembered.
        """
        await self.runs.begin()
        await self._note_results()
        last = self.runs.known.last
        if last is not None and not last.final:
            self.decision = Decision(start=False, reason=f"{last.id} goes on")
            await self._advance(last)
        elif self._around.coordinator.looked:
            await self._decide()

    async def start(self, actor: str, reason: str) -> Run:
        """Begin a run because a person says so.

        Raises:
            Conflict: One goes on, or no version serves.
            Unavailable: It cannot be remembered.
        """
        model = self.options.model
        version = self._around.serving(model)
        if version is None:
            raise Conflict(f"no version of model {model!r} serves")
        asked = Decision(start=True, reason=reason, trigger=BY_HAND)
        run = self._around.new_run(model, version, asked, actor)
        try:
            await self.runs.add(run)
        except OSError as error:
            raise Unavailable(f"the run cannot be remembered: {error}") from error
        self._woken.set()
        return run

    async def report_end(self, run_id: str, actor: str, reason: str, *, succeeded: bool) -> Run:
        """End a run because somebody says that it has ended.

        Raises:
            NotFound: There is no such run.
            Conflict: It has ended, or has not begun.
            Unavailable: It cannot be put on record.
        """
        run = self.runs.find(run_id)
        if run is None:
            raise NotFound(f"model {self.options.model!r} has no run {run_id[:200]!r}")
        if run.phase is not Phase.RUNNING:
            raise Conflict(f"{run.id} is {run.phase}; only the end of a running one is reported")
        told = f"reported by {actor}: {reason}" if reason else f"reported by {actor}"
        after = self._succeeded(run) if succeeded else failed(run, told, self._clock())
        try:
            changed = await self.runs.change(after, told)
        except OSError as error:
            raise Unavailable(f"the end cannot be remembered: {error}") from error
        if not changed:
            raise Conflict(f"{run.id} has ended meanwhile")
        return after

    async def _decide(self) -> None:
        now, model = self._clock(), self.options.model
        seen = await self._around.snapshot(model, self.runs.known, now)
        self.decision = found = decide(self.options, seen, now)
        if found.start and seen.version is not None:
            try:
                await self.runs.add(self._around.new_run(model, seen.version, found, ACTOR))
            except Conflict:  # a person was faster
                return
            self._woken.set()

    async def _advance(self, run: Run) -> None:
        now = self._clock()
        match next_step(run, self.options, now):
            case Step.RECORD:
                await self.runs.record("retrain.requested", run, run.reason)
                first = Phase.EXPORTING if self.options.export else Phase.STARTING
                await self.runs.change(replace(run, phase=first))
            case Step.EXPORT:
                await self._export(run, now)
            case Step.START:
                await self._start(run, now)
            case Step.LOOK:
                await self._look(run, now)
            case Step.GIVE_UP:
                await self.runs.change(given_up(run, self.options, now))
            case Step.WAIT:
                return
        self._woken.set()

    async def _export(self, run: Run, now: float) -> None:
        run = tried(run, self.options, now)
        await self.runs.change(run)
        options = self.options
        name = f"{run.id}.{options.export_format}"
        since, state = now - options.export_since, str(self._around.monitor)
        try:
            order = ExportOrder(state, run.model, since, options.export, name)
            data = await self._apart(partial(run_export, order))
        except ExportRefused as error:
            after = refused(run, str(error), options, self._clock(), final=False)
        else:
            after = replace(run, phase=Phase.STARTING, attempts=0, next_at=0.0, data=data)
        await self.runs.change(after)

    async def _start(self, run: Run, now: float) -> None:
        options, again = self.options, run.attempts > 0
        run = tried(run, options, now)
        await self.runs.change(run)
        payload = run.payload(options.parameters)
        order = Order(run.id, payload, again, now, run.decided_at, options.time_limit)
        try:
            handle = await self._apart(partial(self._target.start, order))
        except TargetFailed as error:
            after = refused(
                run, str(error), options, self._clock(), final=error.final, after=error.retry_after
            )
            await self.runs.change(after)
            return
        then = self._clock()
        after = replace(
            run,
            phase=Phase.RUNNING,
            handle=handle,
            started_at=then,
            next_at=then + options.poll_seconds,
            problem="",
        )
        # First the file: a start that is not on record is better than a second one.
        await self.runs.change(after)
        await self.runs.record("retrain.started", after, f"{options.place} has taken it")

    async def _look(self, run: Run, now: float) -> None:
        after = replace(run, next_at=now + self.options.poll_seconds, problem="")
        try:
            found = await self._apart(partial(self._target.look, run.handle))
        except TargetFailed as error:
            after = replace(after, problem=f"how it stands is not known: {error}")
        else:
            if found.ended:
                well, told = found.succeeded, found.detail or "it failed"
                after = self._succeeded(after) if well else failed(after, told, self._clock())
        await self.runs.change(after, f"{self.options.place} says so")

    async def _note_results(self) -> None:
        """Find the versions of runs; one ends a run that its target does not tell of."""
        waiting = [run for run in self.runs.known.runs if run.started_at and not run.result]
        if not waiting:
            return
        versions = self._around.versions
        results = await asyncio.to_thread(versions.of_runs, self.options.model, waiting)
        for run in waiting:
            found = results.get(run.id)
            if found is None:
                continue
            told = f"version {found.version} names the run"
            after = replace(run, result=found.version, result_digest=found.digest)
            more: dict[str, Any] = {"data_hash": found.data_hash}
            await self.runs.record("retrain.published", after, told, more)
            current = await self.runs.note_result(run.id, found.version, found.digest)
            if current is not None and not current.final and not current.handle:
                await self.runs.change(self._succeeded(current), told)

    async def _apart(self, call: Callable[[], T]) -> T:
        executor = self._executor = self._executor or ThreadPoolExecutor(1, "penstock-retrain")
        return await asyncio.get_running_loop().run_in_executor(executor, call)

    def _succeeded(self, run: Run) -> Run:
        return replace(run, phase=Phase.SUCCEEDED, ended_at=self._clock(), problem="")
