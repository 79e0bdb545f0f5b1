"""Sends copies of answered batches of one version to the shadow process.

Each answered batch is offered once, as references to its arrays. A thread encodes and sends the
batches, a little at a time, and never waits. If the shadow does not keep up, first the socket is
full, then the buffer, and then batches are dropped and counted.

    offered == sent + waiting + dropped          in requests and in rows

Whole batches are chosen, each with the same probability, so each request has this probability, too.
A batch of any size is taken if there was room before it, so the dropped batches depend on the time
alone and not on their content.
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

#: Bytes that wait for the thread. A batch is taken while there are fewer.
MAX_WAITING_ROWS: Final = 16_384
MAX_WAITING_BYTES: Final = 8 << 20
#: Batches and bytes of one turn of the thread: it holds the interpreter lock for 0.2 ms at most.
_TURN_BATCHES: Final = 8
_TURN_BYTES: Final = 256 << 10
_PIECES_AT_ONCE: Final = 256

#: Turns between two attempts to reach the shadow process.
_RETRY_TURNS: Final = 10


@dataclass(slots=True)
class _Outgoing:
    """A message that is being sent: its remaining pieces, and the requests and rows in it."""

    pieces: list[Piece]
    requests: int
    rows: int


class ShadowSender:
    """The sender of one rollout. `offer` runs on the loop, `turn` and `hang_up` on the thread.

    Args:
        rollout: Id of the rollout.
        share: Probability that a batch is copied.
        counters: Counters of the candidate.
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
        self._path = path
        self._report = report
        self._chance = chance
        self._waiting: deque[CopiedBatch] = deque()
        # Each figure is written by one thread only: those in by the loop, those out by the thread.
        self._rows_in = self._bytes_in = 0
        self._rows_out = self._bytes_out = 0
        self._writer = Writer()
        self._socket: socket.socket | None = None
        self._outgoing: _Outgoing | None = None
        self._turns_to_wait = 0

    @property
    def waiting(self) -> bool:
        """Whether there are batches to send now."""
        return not self._turns_to_wait and (bool(self._waiting) or self._outgoing is not None)

    def offer(
        self, calls: Sequence[Call], offsets: Sequence[int], names: Sequence[str], batch: Batch
    ) -> None:
        """Take a batch if it is chosen by chance and there is room; takes a few microseconds.

        Args:
            calls: The answered calls.
            offsets: The first row of each call, and the end.
            names: Names of the inputs.
            batch: The finished run.
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
        """Count requests and rows that will not arrive. Runs on the loop."""
        self.counters.add(SHADOW_DROPPED, requests)
        self.counters.add(SHADOW_DROPPED_ROWS, rows)

    def turn(self) -> None:
        """Send as much as the socket takes, and at most the work of one turn."""
        if self._turns_to_wait:
            self._turns_to_wait -= 1
            return
        if not self.waiting and self._socket is None:
            return
        try:
            link = self._socket = self._socket or self._connect()
            with suppress(BlockingIOError):
                link.recv(1)  # the only message of the shadow says that it wants no more
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
        """Close the connection, and connect again after a while."""
        self._turns_to_wait = _RETRY_TURNS
        self.hang_up()

    def hang_up(self) -> None:
        """Drop and count all waiting batches, and close the connection.

        The shadow reads and counts all messages that were sent in full.
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
        self._outgoing = None
