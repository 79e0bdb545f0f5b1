"""Runs the batch jobs of the queue, a few at a time, until it is cancelled."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from penstock.server.batch_job.job_directory import work_name
from penstock.server.errors import Unavailable

from . import places
from .process import End, run_process
from .state import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.server.isolation.child_process import ChildProcess

    from .queue import JobQueue
    from .record import BatchRecord

LOG = logging.getLogger("penstock.batches")
#: Between two tries to take a job whose record cannot be kept.
_TROUBLE_SECONDS: Final = 5.0


class BatchRunner:
    """Runs batch jobs.

    Args:
        queue: Has the jobs.
        root: Directory of their files.
        most: Jobs that run at a time.
        order_of: The order for the process of a job.
        on_end: Told of a job that is done or has failed, before that is kept, from a thread.
        clock: Unix seconds.
    """

    def __init__(
        self,
        queue: JobQueue,
        root: Path,
        most: int,
        order_of: Callable[[BatchRecord], bytes],
        on_end: Callable[[BatchRecord], object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._queue = queue
        self._root = root
        self._most = most
        self._order_of = order_of
        self._on_end = on_end
        self._clock = clock
        self._changed = asyncio.Event()
        self._children: dict[str, ChildProcess] = {}
        self._stopping = False

    def look(self) -> None:
        """Look at the queue: a job is new, or was cancelled."""
        self._changed.set()

    def kill(self, record: BatchRecord) -> None:
        """End the process of a job that was cancelled, and remove its work. Blocking."""
        child = self._children.get(record.id)
        if child is not None:
            child.kill()  # its thread removes the work
        elif not self._queue.runs(record):
            self._remove_work(record)

    async def run(self) -> None:
        """Run jobs until cancelled; what runs then goes on after the next start."""
        # The kernel ends a child with the thread that made it: these stay.
        executor = ThreadPoolExecutor(self._most, "penstock-batches")
        running: set[asyncio.Future[None]] = set()
        self._stopping = False
        try:
            while True:
                self._changed.clear()
                pause = None
                while len(running) < self._most:
                    try:
                        record = await asyncio.to_thread(self._queue.take)
                    except Unavailable as trouble:
                        LOG.error("%s", trouble.message)  # noqa: TRY400  one line says it
                        pause = _TROUBLE_SECONDS
                        break
                    if record is None:
                        due = await asyncio.to_thread(self._queue.due)
                        pause = None if due is None else max(0.0, due - self._clock())
                        break
                    running.add(
                        asyncio.get_running_loop().run_in_executor(executor, self._work, record)
                    )
                await self._wait(running, pause)
                for one in [one for one in running if one.done()]:
                    running.remove(one)
                    one.result()
        finally:
            self._stopping = True
            for child in list(self._children.values()):
                child.kill()
            executor.shutdown(wait=False, cancel_futures=True)

    async def _wait(self, running: set[asyncio.Future[None]], pause: float | None) -> None:
        changed = asyncio.ensure_future(self._changed.wait())
        awaited: set[asyncio.Future[Any]] = {changed, *running}
        try:
            await asyncio.wait(awaited, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()

    def _work(self, record: BatchRecord) -> None:
        LOG.info("batch %s: %s of model %s runs", record.id, record.input, record.model)
        try:
            end = self._ended(record)
        except Exception as error:
            LOG.exception("batch %s", record.id)
            end = End(f"an unexpected error of the server: {error!r}", again=True)
        if self._stopping:
            self._queue.let_go(record)  # on disk it runs: it goes on after the next start
            return
        record = self._queue.end(record.id, end.error, again=end.again, before=self._leave)
        LOG.info(
            "batch %s: %s, %d rows, %d not answered%s",
            record.id, record.state, record.rows, record.failed,
            f": {record.error}" if record.error else "",
        )  # fmt: skip

    def _leave(self, record: BatchRecord) -> None:
        if record.state is State.CANCELLED:
            self._remove_work(record)
        else:
            self._on_end(record)

    def _ended(self, record: BatchRecord) -> End:
        def started(child: ChildProcess) -> None:
            self._children[record.id] = child

        def progress(told: dict[str, Any]) -> bool:
            return self._queue.progress(record.id, **told)

        try:
            return run_process(self._order_of(record), started, progress)
        finally:
            self._children.pop(record.id, None)

    def _remove_work(self, record: BatchRecord) -> None:
        try:
            with places.target(self._root, record.output) as (folder, name):
                places.remove_work(folder, work_name(name))
        except (OSError, places.PlaceRefused) as error:
            LOG.warning("batch %s: its work cannot be removed: %s", record.id, error)
