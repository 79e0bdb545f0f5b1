"""Requests with more rows than a run may have: cut into parts, their answers put together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .errors import InvalidOutput
from .request import Batch, InferenceRequest

if TYPE_CHECKING:
    from penstock.runtimes.contract import Array

    from .scheduled_model import ScheduledModel


class Chunk(InferenceRequest):
    """Some rows of a larger request, as a view; runs alone."""

    __slots__ = ("first_row", "split")

    def __init__(self, whole: SplitRequest, first_row: int, rows: int) -> None:
        request = whole.request
        last_row = first_row + rows
        super().__init__(
            [None if array is None else array[first_row:last_row] for array in request.inputs],
            rows,
            request.outputs,
            request.arrival,
            key=request.key,
            deadline=request.deadline,
        )
        self.split = whole
        self.first_row = first_row


class SplitRequest:
    """Gathers the parts of one request. The first error ends it; what still waits is withdrawn."""

    __slots__ = (
        "_answers",
        "_formed_at",
        "_missing",
        "_started_at",
        "chunks",
        "owner",
        "request",
    )

    def __init__(self, owner: ScheduledModel, request: InferenceRequest, max_rows: int) -> None:
        self.owner = owner
        self.request = request
        self.chunks = [
            Chunk(self, first, min(max_rows, request.rows - first))
            for first in range(0, request.rows, max_rows)
        ]
        self._missing = len(self.chunks)
        self._answers: dict[int, list[Array]] = {}
        self._formed_at = self._started_at = math.inf

    def discard(self, request: InferenceRequest) -> None:
        """Withdraw the parts that still wait."""
        request.queue = None
        for chunk in self.chunks:
            chunk.cancelled = True
            if chunk.queue is not None:
                chunk.queue.discard(chunk)

    def finish(self, chunk: Chunk, batch: Batch) -> Batch | None:
        """Take the answer of one part; the last one, or the first error, makes the whole's."""
        request = self.request
        if request.queue is None:  # answered or withdrawn before
            return None
        self._missing -= 1
        self._answers[chunk.first_row] = batch.outputs
        self._formed_at = min(self._formed_at, batch.formed_at)
        self._started_at = min(self._started_at, batch.started_at)
        if self._missing and batch.error is None:
            return None
        whole = Batch([request], self._formed_at)
        whole.started_at = self._started_at
        whole.finished_at = batch.finished_at
        whole.error = batch.error
        if batch.error is None:
            answers = [self._answers[chunk.first_row] for chunk in self.chunks]
            try:
                whole.outputs = [np.concatenate(pieces) for pieces in zip(*answers, strict=True)]
            except (ValueError, MemoryError) as error:
                whole.error = InvalidOutput(
                    f"the answers of its parts do not fit together: {error}"
                )
        self.discard(request)
        return whole
