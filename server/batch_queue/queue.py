"""The queue of batch jobs: what waits, what runs, and what has ended. Each change is on disk first.

A record that is on disk as running when a server starts belongs to a job that was killed: it goes
on where it was (`penstock.server.batch_job`), before all that wait.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from penstock.server.errors import Conflict, NotFound, Unavailable

from .state import State, pause_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from .record import BatchRecord
    from .record_files import RecordFiles

LOG = logging.getLogger("penstock.batches")
#: Ended jobs that are remembered; the oldest go.
MOST_ENDED: Final = 1000
_MAX_SHOWN: Final = 80
#: Characters of an error that are kept.
_MOST_ERROR: Final = 1000


class JobQueue:
    """All batch jobs of one server. Threads may use it at the same time.

    Args:
        files: Keep the records.
        most: Jobs that wait or run, at most.
        clock: Unix seconds.
    """

    def __init__(self, files: RecordFiles, most: int, clock: Callable[[], float]) -> None:
        self._files = files
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._records = {one.id: one for one in files.load()}
        self._running: set[str] = set()
        self._rows: dict[tuple[str, str], int] = {}

    @property
    def records(self) -> list[BatchRecord]:
        """All of them, newest first."""
        with self._lock:
            return sorted(self._records.values(), key=lambda one: -one.number)

    @property
    def rows(self) -> dict[tuple[str, str], int]:
        """Rows put on disk since this process began, by model and ``answered`` or ``failed``."""
        with self._lock:
            return dict(self._rows)

    def find(self, name: str) -> BatchRecord:
        """The job of this id.

        Raises:
            NotFound: There is none.
        """
        found = self._records.get(name)
        if found is None:
            raise NotFound(f"there is no batch {name[:_MAX_SHOWN]!r}; it may be forgotten")
        return found

    def check_room(self, output: str) -> None:
        """Whether one more job may wait, and none writes this output.

        Raises:
            Conflict: It may not, or one does.
        """
        with self._lock:
            self._check_room(output)

    def add(self, record: BatchRecord) -> BatchRecord:
        """Let a job wait; it gets its number.

        Raises:
            Conflict: There are as many as there may be, or one that writes the same output.
            Unavailable: It cannot be kept.
        """
        with self._lock:
            self._check_room(record.output)
            last = max((one.number for one in self._records.values()), default=0)
            record = record.changed(number=last + 1)
            self._keep(record)
            ended = sorted(
                (one for one in self._records.values() if not one.is_open), key=lambda x: x.number
            )
            for one in ended[: max(0, len(ended) - MOST_ENDED)]:
                del self._records[one.id]
                with suppress(OSError):  # it is forgotten with the next job after a start
                    self._files.remove(one)
        return record

    def take(self) -> BatchRecord | None:
        """The job to run next, which runs from now on; ``None`` if none is due.

        Raises:
            Unavailable: That it runs cannot be kept.
        """
        with self._lock:
            now = self._clock()
            waiting = [one for one in self._waiting() if one.due <= now]
            if not waiting:
                return None
            record = min(waiting, key=lambda one: (one.state != State.RUNNING, one.number))
            record = record.changed(state=State.RUNNING, started=record.started or now)
            self._keep(record)
            self._running.add(record.id)
            return record

    def due(self) -> float | None:
        """When the next job that waits may run, in Unix seconds; ``None`` if none waits."""
        with self._lock:
            return min((one.due for one in self._waiting()), default=None)

    def progress(self, name: str, **values: Any) -> bool:
        """Note how far a job is.

        Args:
            name: Id of the job.
            values: Of `BatchRecord`: ``rows``, ``failed``, ``total``, ``answered_by``, ``whole``.

        Returns:
            Whether the job may go on: it may not once it is cancelled.

        Raises:
            Unavailable: That it is whole cannot be kept.
        """
        with self._lock:
            before = self._records[name]
            if before.state is not State.RUNNING:
                return False
            record = before.changed(**values)
            if record.rows > before.rows:
                record = record.changed(attempts=0, error="")
            self._count(before, record)
            try:
                self._keep(record)
            except Unavailable:
                if record.whole:
                    raise
                self._records[name] = record  # rows are told anew after a start
            return True

    def end(
        self,
        name: str,
        error: str = "",
        *,
        again: bool = False,
        before: Callable[[BatchRecord], object] = lambda _: None,
    ) -> BatchRecord:
        """Note that the process of a job has ended.

        Args:
            name: Id of the job.
            error: Why it broke off; empty if it is done.
            again: Whether to try it again later.
            before: Called with the record of a job that has ended, before that is kept and another
                may write its output. If the server is killed in between, it is called again after
                the next start.

        Returns:
            The record as it is now; of a job that was cancelled meanwhile that of the cancelled.
        """
        with self._lock:
            record, now = self._records[name], self._clock()
            if record.state is not State.RUNNING:
                before(record)
                self._running.discard(name)
                return record
            error = " ".join(error.split())[:_MOST_ERROR]
            pause = pause_after(record.attempts + 1) if error and again else None
            if pause is not None:
                record = record.changed(
                    state=State.QUEUED, attempts=record.attempts + 1, due=now + pause, error=error
                )
            else:
                state = State.FAILED if error else State.DONE
                record = record.changed(state=state, ended=now, error=error)
                before(record)
            try:
                self._keep(record)
            except Unavailable as trouble:  # on disk it runs, and is looked at again after a start
                LOG.error("%s", trouble.message)  # noqa: TRY400  one line says it
                self._records[name] = record
            self._running.discard(name)
            return record

    def check_cancel(self, name: str) -> BatchRecord:
        """The job, if it may be cancelled.

        Raises:
            NotFound: There is none of this id.
            Conflict: It has ended, or its output is being put in place.
        """
        record = self.find(name)
        if not record.is_open:
            raise Conflict(f"the batch has ended: {record.state}")
        if record.whole:
            raise Conflict("all rows are done, and the output is being put in place")
        return record

    def let_go(self, record: BatchRecord) -> None:
        """Note that the process of a job has ended because this one stops running jobs."""
        with self._lock:
            self._running.discard(record.id)

    def cancel(self, name: str) -> BatchRecord:
        """Cancel a job; its process is not ended by this.

        Raises:
            NotFound: There is none of this id.
            Conflict: It has ended, or its output is being put in place.
            Unavailable: It cannot be kept.
        """
        with self._lock:
            record = self.check_cancel(name)
            record = record.changed(state=State.CANCELLED, ended=self._clock())
            self._keep(record)
            return record

    def runs(self, record: BatchRecord) -> bool:
        """Whether there is a process of a job, or a thread that cleans up after it."""
        return record.id in self._running

    def _waiting(self) -> list[BatchRecord]:
        records = self._records.values()
        return [one for one in records if one.is_open and one.id not in self._running]

    def _check_room(self, output: str) -> None:
        records = self._records.values()
        waiting = [one for one in records if one.is_open or one.id in self._running]
        if any(one.output == output for one in waiting):
            raise Conflict(f"a batch that waits or runs writes {output[:_MAX_SHOWN]!r} already")
        if len(waiting) >= self._most:
            raise Conflict(
                f"{len(waiting)} batches wait or run, and the option batch_queue allows "
                f"{self._most}; wait for one, or cancel it"
            )

    def _count(self, before: BatchRecord, record: BatchRecord) -> None:
        """For the metrics: rows that were put on disk since this process began."""
        bad = max(0, record.failed - before.failed)
        good = max(0, record.rows - before.rows - bad)
        for result, rows in (("answered", good), ("failed", bad)):
            key = record.model, result
            self._rows[key] = self._rows.get(key, 0) + rows

    def _keep(self, record: BatchRecord) -> None:
        try:
            self._files.write(record)
        except OSError as error:
            raise Unavailable(f"the record of the batch cannot be kept: {error}") from error
        self._records[record.id] = record
