"""Receives the batches of a version that runs steps of pipelines, beside requests of clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from penstock.batching.request import Batch

from .pipeline_run import StepTicket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.monitoring.metrics.model_counters import ModelCounters


class StepSink:
    """The sink of a version at least as long as a pipeline uses it.

    Args:
        direct: The sink of the version, which answers clients.
        counters: Counters of the version: a run without clients is counted here.
    """

    __slots__ = ("_counters", "direct")

    def __init__(self, direct: Callable[[Batch], None], counters: ModelCounters) -> None:
        self.direct = direct
        self._counters = counters

    def __call__(self, batch: Batch) -> None:
        """Give each request of a finished batch its answer."""
        steps: list[int] = []
        clients: list[int] = []
        for place, request in enumerate(batch.requests):
            (steps if type(request.context) is StepTicket else clients).append(place)
        if not steps:
            self.direct(batch)
            return
        for place in steps:
            _answer(batch, place)
        if clients:
            self.direct(part_of(batch, clients))
        elif batch.error is None:
            nanoseconds = int((batch.finished_at - batch.started_at) * 1e9)
            self._counters.observe_batch(batch.rows, nanoseconds)


class _Part(Batch):
    """Some requests of a batch.

    Attributes:
        whole_rows: Rows in the run.
    """

    __slots__ = ("whole_rows",)
    whole_rows: int

    @property
    def run_rows(self) -> int:
        """See `Batch.run_rows`."""
        return self.whole_rows


def part_of(batch: Batch, places: Sequence[int]) -> Batch:
    """Some requests of a batch, as if they had run without the others.

    Args:
        batch: A finished batch. Several requests share a run only where axis 0 is rows.
        places: The requests, ascending.
    """
    part = _Part([batch.requests[place] for place in places], batch.formed_at)
    part.whole_rows = batch.rows
    part.started_at, part.finished_at = batch.started_at, batch.finished_at
    part.error = batch.error
    if batch.error is None:
        spans = [slice(*batch.offsets[place : place + 2]) for place in places]
        try:
            part.outputs = [np.concatenate([one[span] for span in spans]) for one in batch.outputs]
            part.inputs = [
                None if one is None else np.concatenate([one[span] for span in spans])
                for one in batch.inputs
            ]
        except Exception as error:  # noqa: BLE001  such as of memory: the requests get it
            part.error = error
    return part


def _answer(batch: Batch, place: int) -> None:
    """Give one step its answer. Never raises: nobody else would answer the request."""
    ticket: StepTicket = batch.requests[place].context
    try:
        if batch.error is not None:
            ticket.run.fail(ticket.place, batch.error)
        elif len(batch.requests) == 1:
            ticket.run.take(ticket, batch.outputs)
        else:
            span = slice(*batch.offsets[place : place + 2])
            ticket.run.take(ticket, [one[span] for one in batch.outputs])
    except Exception as error:  # noqa: BLE001  see above
        ticket.run.fail(ticket.place, error)
