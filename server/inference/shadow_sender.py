"""A copy of what one version answers, on its way to the shadow process.

A batch that was answered is offered once: references to arrays that exist anyway. A thread makes
bytes of it and sends them, a little at a time, and never waits: when the shadow does not keep up,
its socket is full, then the buffer is, and then batches are dropped and counted.

    offered == sent + waiting + dropped          in requests and in rows

Whole batches are chosen, each with the same probability whatever is in it, and so is each request.
A batch is taken if there was room before it, however large it is: what is dropped for want of room
depends on the time alone.
"""

from __future__ import annotations

import socket
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from random import random
from typing import TYPE_CHECKING, Final

from penstock.monitoring.metrics.layout import SHADOW_COPIED, SHADOW_DROPPED, SHADOW_DROPPED_ROWS
from penstock.server.shadow_copies.batches import CopiedBatch, Writer
from penstock.server.shadow_copies.envelope import MAX_BATCH_BYTES, envelope_head, hello

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from penstock.batching.request import Batch
    from penstock.monitoring.metrics.model_counters import ModelCounters
    from penstock.server.shadow_copies.batches import Piece

    from .call import Call

#: Waiting for the thread. A batch is taken while there is less.
MAX_WAITING_ROWS: Final = 16_384
MAX_WAITING_BYTES: Final = 8 << 20
#: Batches and bytes of one turn of the thread: it holds the interpreter lock for 0.2 ms at most.
_TURN_BATCHES: Final = 8
_TURN_BYTES: Final = 256 << 10
_PIECES_AT_ONCE: Final = 256

#: Between two attempts to reach the shadow process, in turns.
_RETRY_TURNS: Final = 10


@dataclass(slots=True)
class _Outgoing:
    """What is being sent: the pieces that are left, and what is lost if they never arrive."""

    pieces: list[Piece]
    requests: int
    rows: int


class ShadowSender:
    """The copies for one rollout. `offer` is the loop's, `turn` and `hang_up` the thread's.

    Args:
        rollout: Its id.
        share: Probability of a batch to be copied.
        counters: Of the candidate.
        path: Socket of the shadow process.
        report: Takes requests and rows that were dropped by the thread, to the loop.
        chance: Uniform in [0, 1).
    """

    def __init__(
        self,
        rollout: str,
        share: float,
        counters: ModelCounters,
        path: Path,
        report: Callable[[ShadowSender, int, int], None],
        chance: Callable[[], float] = random,
    ) -> None:
        self.rollout = rollout
        self.share = share
        self.counters = counters
        self.sent_requests = 0
        self.sent_rows = 0
        self._path = path
        self._report = report
        self._chance = chance
        self._waiting: deque[CopiedBatch] = deque()
        # Each written by one thread only: what came in is the loop's, what went is the other's.
        self._rows_in = self._bytes_in = 0
        self._rows_out = self._bytes_out = 0
        self._writer = Writer()
        self._socket: socket.socket | None = None
        self._outgoing: _Outgoing | None = None
        self._turns_to_wait = 0

    @property
    def waiting(self) -> bool:
        """Whether there is more to send, and no reason to wait with it."""
        return not self._turns_to_wait and (bool(self._waiting) or self._outgoing is not None)

    def offer(
        self, calls: Sequence[Call], offsets: Sequence[int], names: Sequence[str], batch: Batch
    ) -> None:
        """Take a batch if chance wills and there is room; a few microseconds.

        Args:
            calls: Who was answered.
            offsets: First row of each, and the end.
            names: Of the inputs.
            batch: What ran.
        """
        if self._chance() >= self.share:
            return
        count, rows = len(calls), batch.rows
        self.counters.add(SHADOW_COPIED, count)
        room = (
            self._rows_in - self._rows_out < MAX_WAITING_ROWS
            and self._bytes_in - self._bytes_out < MAX_WAITING_BYTES
        )
        if not room or not batch.inputs:  # a request that ran in parts has none
            self.dropped(count, rows)
            return
        copied = CopiedBatch(
            [call.request_id for call in calls],
            offsets,
            names,
            batch.inputs,
            batch.requests[0].outputs,
            batch.outputs,
            batch.finished_at - batch.started_at,
        )
        held = copied.held_bytes
        if held > MAX_BATCH_BYTES:
            self.dropped(count, rows)
            return
        self._rows_in += rows
        self._bytes_in += held
        self._waiting.append(copied)

    def dropped(self, requests: int, rows: int) -> None:
        """Count what will not arrive. On the loop."""
        self.counters.add(SHADOW_DROPPED, requests)
        self.counters.add(SHADOW_DROPPED_ROWS, rows)

    def turn(self) -> None:
        """Send what the socket takes, and no more than a turn's worth."""
        if self._turns_to_wait:
            self._turns_to_wait -= 1
            return
        if not self.waiting and self._socket is None:
            return
        try:
            link = self._socket = self._socket or self._connect()
            with suppress(BlockingIOError):
                link.recv(1)  # the shadow says nothing but that it wants no more
                raise ConnectionError
            if self._outgoing is None and self._waiting:
                self._outgoing = self._next()
            if self._outgoing is not None:
                self._send(link, self._outgoing)
        except BlockingIOError:
            return
        except OSError:
            self.break_off()

    def break_off(self) -> None:
        """Hang up, and try again after a while."""
        self._turns_to_wait = _RETRY_TURNS
        self.hang_up()

    def hang_up(self) -> None:
        """Drop and count all that waits, and close the connection.

        What was sent in full will be read, and counted by the shadow.
        """
        requests = rows = 0
        if self._outgoing is not None:
            requests, rows = self._outgoing.requests, self._outgoing.rows
            self._outgoing = None
        while self._waiting:
            batch = self._take()
            requests += len(batch.request_ids)
            rows += batch.rows
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if requests:
            self._report(self, requests, rows)

    def _connect(self) -> socket.socket:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.setblocking(False)  # noqa: FBT003  that is its name
        try:
            link.connect(str(self._path))
            link.sendall(hello(self.rollout))  # an empty buffer has room for it
        except OSError:
            link.close()
            raise ConnectionError from None
        return link

    def _take(self) -> CopiedBatch:
        batch = self._waiting.popleft()
        self._rows_out += batch.rows
        self._bytes_out += batch.held_bytes
        return batch

    def _next(self) -> _Outgoing:
        """The next batches, encoded."""
        sizes: list[tuple[int, int]] = []
        seconds = 0.0
        while self._waiting and len(sizes) < _TURN_BATCHES and self._writer.size < _TURN_BYTES:
            batch = self._take()
            sizes.append((len(batch.request_ids), batch.rows))
            seconds = max(seconds, batch.seconds)
            self._writer.add(batch)
        head = envelope_head(sizes, seconds, self._writer.size)
        requests, rows = map(sum, zip(*sizes, strict=True))
        return _Outgoing([head, *self._writer.pieces()], requests, rows)

    def _send(self, link: socket.socket, outgoing: _Outgoing) -> None:
        pieces = outgoing.pieces
        while pieces:
            sample = link.sendmsg(list(islice(pieces, _PIECES_AT_ONCE)))
            while pieces and sample >= len(pieces[0]):
                sample -= len(pieces.pop(0))
            if sample:
                pieces[0] = memoryview(pieces[0])[sample:]
        self.sent_requests += outgoing.requests
        self.sent_rows += outgoing.rows
        self._outgoing = None
