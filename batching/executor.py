"""The execution threads: they take batches from one queue, and wake the event loop per batch."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

from .contained import ordinary
from .execution import execute
from .marks import RunMarks

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from penstock.runtimes.contract import Model

    from .request import Batch


class Executor(Protocol):
    """Runs batches away from the event loop."""

    def start(self, batch: Batch, model: Model) -> None:
        """Run the batch; ``done`` is called on the loop afterwards, unless this raises."""

    def close(self) -> None:
        """Stop the threads; nothing may be running."""


class ThreadExecutor:
    """Execution threads, started with the first batch."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        threads: int,
        done: Callable[[Batch, list[Batch] | None], None],
        clock: Callable[[], float],
        marks: RunMarks | None = None,
    ) -> None:
        """``done(batch, parts)`` is called on the loop; ``parts`` as `execute` returns them.

        ``marks`` has a slot for each thread after that of the event loop.
        """
        self._marks = marks or RunMarks.private(threads + 1)
        self._loop = loop
        self._size = threads
        self._done = done
        self._clock = clock
        self._work: SimpleQueue[tuple[Batch, Model, int] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def start(self, batch: Batch, model: Model) -> None:
        """Hand the batch to the next free thread.

        Raises:
            RuntimeError: There is no thread, and none can be started; the batch is not taken.
        """
        if len(self._threads) < self._size:
            self._start_thread()
        queue = batch.queue
        self._work.put((batch, model, 0 if queue is None else queue.owner.mark))

    def _start_thread(self) -> None:
        name = f"penstock-execution-{len(self._threads)}"
        slot = len(self._threads) + 1
        thread = threading.Thread(target=self._serve, args=(slot,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if not self._threads:
                raise
        else:
            self._threads.append(thread)

    def close(self) -> None:
        """Stop the threads; nothing may be running."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _serve(self, slot: int) -> None:
        """Run one batch after the other; no exception of a run ends the thread."""
        self._marks.register(slot)
        running, since = self._marks.running, self._marks.since
        while (job := self._work.get()) is not None:
            batch, model, mark = job
            try:
                since[slot] = batch.started_at = self._clock()
                running[slot] = mark
                parts = execute(batch, model, self._clock)
            except BaseException as error:  # noqa: BLE001  the batch is failed, the thread goes on
                batch.error, parts = ordinary(error), None
            running[slot] = 0
            try:
                self._loop.call_soon_threadsafe(self._done, batch, parts)
            except RuntimeError:  # the loop was closed: no caller waits any more
                return
            del job, batch, model, parts  # an idle thread keeps no tensors alive
