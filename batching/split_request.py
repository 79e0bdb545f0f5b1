"""Cuts requests with more rows than a run may have into chunks, and joins the answers."""

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
    """Some rows of a larger request, as a view; a chunk runs alone.

    Its size was right when the request came. A background chunk that waits until there is other
    work is cut again (`penstock.batching.policy.background`).

    An optional input has no rows: each chunk gets all of it.
    """

    __slots__ = ("first_row", "split")
    divisible = True

    def __init__(self, whole: SplitRequest, first_row: int, rows: int) -> None:
        request = whole.request
        last_row = first_row + rows
        specs = whole.owner.model.signature.inputs
        super().__init__(
            [
                array if array is None or spec.optional else array[first_row:last_row]
                for array, spec in zip(request.inputs, specs, strict=True)
            ],
            rows,
            request.outputs,
            request.arrival,
            key=request.key,
            deadline=request.deadline,
        )
        self.split = whole
        self.first_row = first_row

    def cut(self, rows: int) -> Chunk:
        """Keep the first rows; gives a chunk for the others, which the whole waits for, too."""
        whole, first = self.split, self.first_row
        rest = Chunk(whole, first + rows, self.rows - rows)
        self.inputs, self.rows = Chunk(whole, first, rows).inputs, rows
        whole.add(rest)
        return rest


class SplitRequest:
    """Joins the answers of a request's chunks; the first error withdraws the other chunks."""

    __slots__ = (
        "_formed_at",
        "_missing",
        "_outputs",
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
        self._outputs: list[Array] | None = None
        self._formed_at = self._started_at = math.inf

    def add(self, chunk: Chunk) -> None:
        """Wait for one more chunk: another has fewer rows now."""
        self.chunks.append(chunk)
        self._missing += 1

    def discard(self, request: InferenceRequest) -> None:
        """Withdraw the chunks that still wait."""
        request.queue = None
        for chunk in self.chunks:
            chunk.cancelled = True
            if chunk.queue is not None:
                chunk.queue.discard(chunk)

    def finish(self, chunk: Chunk, batch: Batch) -> Batch | None:
        """Take the answer of a chunk; the last answer, or the first error, ends the request."""
        request = self.request
        if request.queue is None:  # answered or withdrawn before
            return None
        self._missing -= 1
        self._formed_at = min(self._formed_at, batch.formed_at)
        self._started_at = min(self._started_at, batch.started_at)
        error = batch.error or self._keep(chunk, batch.outputs)
        if self._missing and error is None:
            return None
        whole = Batch([request], self._formed_at)
        whole.started_at = self._started_at
        whole.finished_at = batch.finished_at
        whole.error = error
        if error is None and self._outputs is not None:
            whole.outputs = self._outputs
        self.discard(request)
        return whole

    def _keep(self, chunk: Chunk, answer: list[Array]) -> InvalidOutput | None:
        """Copy the answer of a part to its rows of the whole.

        Each part is copied when it comes. Copying all parts together would hold the event loop for
        the whole time.
        """
        rows = self.request.rows
        try:
            if self._outputs is None:
                self._outputs = [np.empty((rows, *one.shape[1:]), one.dtype) for one in answer]
            for whole, one in zip(self._outputs, answer, strict=True):
                if (one.dtype, one.shape) != (whole.dtype, (chunk.rows, *whole.shape[1:])):
                    raise ValueError(
                        f"{one.dtype} of shape {one.shape} beside {whole.dtype} of "
                        f"{(chunk.rows, *whole.shape[1:])}"
                    )
                whole[chunk.first_row : chunk.first_row + chunk.rows] = one
        except (ValueError, MemoryError) as error:
            return InvalidOutput(f"the answers of its parts do not fit together: {error}")
        return None
