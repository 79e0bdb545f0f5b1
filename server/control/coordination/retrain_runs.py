"""The runs of one retraining: remembered on disk, and on record in the audit log before that.

A crash between the record and the file repeats the record, with the id of the same run; it never
repeats a start.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from penstock.server.desired_state.audit_record import AuditEvent
from penstock.server.errors import Conflict
from penstock.server.retrain.retrain_file import ModelRuns

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.server.desired_state.store import StateStore
    from penstock.server.retrain.retrain_file import RetrainFile
    from penstock.server.retrain.run import Run

LOG = logging.getLogger("penstock.retrain")


class RetrainRuns:
    """The runs of one model. Its methods are called on one event loop.

    Args:
        model: Name of the model.
        file: Remembers the runs.
        store: Keeps the audit log.
        clock: Unix seconds.

    Attributes:
        on_change: Called after each change.
    """

    def __init__(
        self, model: str, file: RetrainFile, store: StateStore, clock: Callable[[], float]
    ) -> None:
        self._model = model
        self._file = file
        self._store = store
        self._clock = clock
        self._changing = asyncio.Lock()
        self.on_change: Callable[[], object] = int

    @property
    def known(self) -> ModelRuns:
        """What is remembered."""
        return self._file.of(self._model) or ModelRuns(self._clock())

    @property
    def problem(self) -> str:
        """Why nothing can be remembered; empty if it can."""
        return self._file.problem

    def find(self, run_id: str) -> Run | None:
        """The run of an id, if it is remembered."""
        return next((one for one in self.known.runs if one.id == run_id), None)

    async def begin(self) -> None:
        """Remember since when the model's retraining is known.

        Raises:
            OSError: The disk.
        """
        if self._file.of(self._model) is None:
            await asyncio.to_thread(self._file.put, self._model, self.known)

    async def add(self, run: Run) -> None:
        """Remember a new run.

        Raises:
            Conflict: The last one has not ended.
            OSError: The disk.
        """
        async with self._changing:
            last = self.known.last
            if last is not None and not last.final:
                raise Conflict(f"{last.id} is {last.phase}; wait for its end")
            await self._put(run)

    async def change(self, after: Run, because: str = "") -> bool:
        """Remember a run that goes on or ends; whether it was still going on.

        Args:
            after: The run as it is now.
            because: Of an end that is no failure: how it is known.

        Raises:
            Unavailable: Its end cannot be recorded.
            OSError: The disk.
        """
        async with self._changing:
            current = self.find(after.id)
            if current is None or current.final:
                return False
            if after.final:
                await self.record(f"retrain.{after.phase}", after, after.problem or because)
                LOG.info("%s: %s %s", after.model, after.id, after.problem or after.phase)
            await self._put(after)
            return True

    async def note_result(self, run_id: str, version: int, digest: str) -> Run | None:
        """Remember which version a run has made; gives the run.

        Raises:
            OSError: The disk.
        """
        async with self._changing:
            current = self.find(run_id)
            if current is not None:
                current = replace(current, result=version, result_digest=digest)
                await self._put(current)
            return current

    async def record(
        self, action: str, run: Run, reason: str, more: dict[str, Any] | None = None
    ) -> None:
        """Put something about a run on record.

        Raises:
            Unavailable: It cannot be recorded, so it must not happen.
        """
        event = AuditEvent(
            action,
            run.by,
            run.model,
            reason=reason,
            evidence={**evidence_of(run), **(more or {})},
            generation=self._store.state.generation,
        )
        await asyncio.to_thread(self._store.note, event)

    async def _put(self, run: Run) -> None:
        await asyncio.to_thread(self._file.put, self._model, self.known.with_run(run))
        self.on_change()


def evidence_of(run: Run) -> dict[str, Any]:
    """What an audit record says of a run. It holds no secret: the run knows none."""
    return {
        "run": run.id,
        "trigger": run.trigger,
        "incident": run.incident,
        "version": run.version,
        "digest": run.digest,
        "data": {"uri": run.data.uri, "sha256": run.data.sha256, "rows": run.data.rows},
        "data_note": run.data.note,
        "handle": run.handle,
        "result": run.result,
        "result_digest": run.result_digest,
    }
