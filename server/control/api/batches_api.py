"""Batch jobs on the admin port: asked for, looked at, cancelled, and their outputs handed out.

They read and write files of the server's machine, and take its processors for long: starting and
cancelling them, and reading what they wrote, takes the scope `operate`. `predict` does not cover
it: who may ask for a prediction may not name a file here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec
from starlette.responses import StreamingResponse

from penstock.server.auth.tokens import OBSERVE, OPERATE
from penstock.server.batch_queue import places
from penstock.server.batch_queue.state import State
from penstock.server.desired_state.audit_record import AuditEvent
from penstock.server.errors import Conflict, InvalidRequest, NotFound, Unavailable

from . import wire
from .answer_schemas import BATCH, BATCHES
from .batch_request import asked_batch, check_places
from .openapi import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.server.batch_queue.queue import JobQueue
    from penstock.server.batch_queue.record import BatchRecord
    from penstock.server.batch_queue.runner import BatchRunner
    from penstock.server.control.coordination.coordinator import Coordinator

    from .routes import Handler

LOG = logging.getLogger("penstock.batches")

_SHOWN: Final = 100
_MOST_SHOWN: Final = 1000
_CHUNK_BYTES: Final = 1 << 20
_WHO: Final = (
    ("reason", "Why; it is on record."),
    ("by", "Who uses the token; it is on record."),
)
_BODY: Final = (
    ("model", "Name of the model."),
    ("version", "Number or alias; the stable version by default."),
    ("input", "A .csv with a heading, .jsonl or .parquet, below the directory batch_root."),
    ("output", "A .parquet, .csv or .jsonl, below it."),
    ("keys", "Columns of the input that are carried to the output."),
    ("all_columns", "true: carry all columns."),
    ("replace", "true: the output may take the place of a file."),
    *_WHO,
)
_START: Final = Endpoint(
    "POST", "/v1/batches", "start_batch", "Have all rows of a file predicted, behind all requests",
    OPERATE, (), _BODY, BATCH,
)  # fmt: skip
_LIST: Final = Endpoint(
    "GET", "/v1/batches", "batches", "Batch jobs, newest first", OBSERVE,
    (
        ("state", f"Only of one of {', '.join(State)}."),
        ("limit", f"At most so many; {_SHOWN} by default, {_MOST_SHOWN} at most."),
    ),
    answer=BATCHES,
)  # fmt: skip
_PLACE: Final = "/v1/batches/{batch}"
_SHOW: Final = Endpoint("GET", _PLACE, "batch", "One batch job", OBSERVE, answer=BATCH)
_CANCEL: Final = Endpoint(
    "DELETE", _PLACE, "cancel_batch", "Cancel a batch job; what it did goes", OPERATE, (), _WHO,
    BATCH,
)  # fmt: skip
_OUTPUT: Final = Endpoint(
    "GET", _PLACE + "/output", "batch_output", "The output of a batch job that is done", OPERATE,
    answer="application/octet-stream",
)  # fmt: skip


class BatchesApi:
    """Its endpoints and who answers them.

    Args:
        coordinator: Knows the models, and keeps the audit log.
        queue: Keeps the jobs.
        runner: Runs them; ``None`` where none run.
        root: Directory of their files; ``None`` where none run.
        clock: Unix seconds.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        queue: JobQueue,
        runner: BatchRunner | None,
        root: Path | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._coordinator = coordinator
        self._queue = queue
        self._runner = runner
        self._root = root
        self._clock = clock

    def handlers(self) -> dict[Endpoint, Handler]:
        """For `AdminApp`."""
        return {
            _START: self._start,
            _LIST: self._list,
            _SHOW: self._show,
            _CANCEL: self._cancel,
            _OUTPUT: self._output,
        }

    async def _start(self, request: Request, actor: str) -> Response:
        body = await wire.read_body(request)
        wire.check_keys(body, tuple(name for name, _ in _BODY))
        runner, root = self._runs()
        by = wire.actor_of(actor, body)
        record = asked_batch(self._coordinator, body, root, by, self._clock())

        def add() -> BatchRecord:
            check_places(root, record)
            self._queue.check_room(record.output)
            self._note("batch.start", record, record.by, record.reason)
            return self._queue.add(record)

        made = await asyncio.to_thread(add)
        runner.look()
        return wire.answer(shown(made))

    async def _list(self, request: Request, _: str) -> Response:
        wire.check_keys(dict(request.query_params), ("state", "limit"))
        state = request.query_params.get("state")
        if state is not None and state not in set(State):
            listed = ", ".join(State)
            raise InvalidRequest(f"state is {state[: wire.MAX_SHOWN]!r}, expected one of {listed}")
        limit = wire.limit_of(request, _SHOWN, _MOST_SHOWN)
        records = await asyncio.to_thread(self._recorded)
        found = [one for one in records if state in {None, one.state}]
        more = len(found) > limit
        return wire.answer({"batches": [shown(one) for one in found[:limit]], "more": more})

    async def _show(self, request: Request, _: str) -> Response:
        return wire.answer(shown(self._queue.find(request.path_params["batch"])))

    async def _cancel(self, request: Request, actor: str) -> Response:
        body = await wire.read_body(request)
        wire.check_keys(body, tuple(name for name, _ in _WHO))
        who, reason = wire.actor_of(actor, body), wire.reason_of(body)
        runner, _ = self._runs()

        def cancel() -> BatchRecord:
            record = self._queue.check_cancel(request.path_params["batch"])
            self._note("batch.cancel", record, who, reason)
            record = self._queue.cancel(record.id)
            runner.kill(record)
            return record

        return wire.answer(shown(await asyncio.to_thread(cancel)))

    async def _output(self, request: Request, _: str) -> Response:
        record = self._queue.find(request.path_params["batch"])
        root = self._runs()[1]
        if record.state is not State.DONE:
            raise Conflict(f"the batch is {record.state}; it has an output when it is done")
        for one in await asyncio.to_thread(self._recorded):
            later = one.number > record.number and one.state is State.DONE
            if later and one.output == record.output:
                raise Conflict(f"batch {one.id} has written another output in its place")
        held = ExitStack()
        try:
            path = await asyncio.to_thread(held.enter_context, places.source(root, record.output))
            size = path.stat().st_size
        except places.PlaceRefused as refusal:
            raise NotFound(f"the output is not there any more: {refusal}") from None
        except OSError as error:
            raise Unavailable(f"the output cannot be read: {error.strerror}") from error
        name = quote(PurePosixPath(record.output).name)
        return StreamingResponse(
            _pieces(path, held),
            media_type="application/octet-stream",
            headers={
                "content-length": str(size),
                "content-disposition": f"attachment; filename*=UTF-8''{name}",
                "x-content-type-options": "nosniff",
            },
        )

    def ended(self, record: BatchRecord) -> None:
        """Put on record that a job has ended by itself. Blocking."""
        try:
            self._note(f"batch.{record.state}", record, "batches", record.error)
        except Unavailable as error:
            LOG.error("the end of batch %s is not on record: %s", record.id, error.message)  # noqa: TRY400  one line says it

    def _recorded(self) -> list[BatchRecord]:
        """All jobs, newest first; waits for a record that is being written."""
        return self._queue.records

    def _runs(self) -> tuple[BatchRunner, Path]:
        if self._runner is None or self._root is None:
            raise Conflict(
                "batch jobs are off: the option batch_root names no directory for their files; "
                "penstock batch runs one on your own machine"
            )
        return self._runner, self._root

    def _note(self, action: str, record: BatchRecord, who: str, reason: str) -> None:
        """Put it on record before it happens."""
        evidence: dict[str, Any] = {
            "batch": record.id, "version": record.answered_by or record.version,
            "input": record.input, "output": record.output,
        }  # fmt: skip
        if record.rows:
            evidence |= {"rows": record.rows, "failed": record.failed}
        store = self._coordinator.store
        store.note(
            AuditEvent(
                action,
                who,
                record.model,
                reason=reason,
                evidence=evidence,
                generation=store.state.generation,
            )
        )


def shown(record: BatchRecord) -> dict[str, Any]:
    """A job as clients see it."""
    content = msgspec.to_builtins(record)
    for own in ("number", "whole", "attempts"):
        del content[own]
    return {**content, "due": record.due if record.state is State.QUEUED else 0.0}


def _pieces(path: Path, held: ExitStack) -> Iterator[bytes]:
    with held:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while piece := os.read(descriptor, _CHUNK_BYTES):
                yield piece
        finally:
            os.close(descriptor)
