"""Runs one batch on the calling thread, and finds the requests that make it fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.runtimes.contract import ModelAway, ProcessEnded, RunTimeout

from .blame import look_again
from .contained import ordinary
from .outputs import check_outputs
from .request import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.runtimes.contract import Array, Model

    from .request import InferenceRequest

#: Errors that say nothing of single requests, and that another run would only repeat.
_NOT_SPLIT: Final = (RunTimeout, ModelAway)


def execute(
    batch: Batch, model: Model, clock: Callable[[], float], *, half: bool = False
) -> list[Batch] | None:
    """Run the batch and fill in its outputs, or split it until each failing request runs alone.

    Never raises: an error of the model becomes `Batch.error`, after `blame` has looked for the
    cause.

    A run that ended the process of an isolated model is split once: each further one would cost
    another process. A run that took too long, or that no process could take, is not split at all.

    Args:
        batch: The batch to run.
        model: The model that runs it.
        clock: Monotonic seconds.
        half: Whether the batch is a part of one that ended its process.

    Returns:
        ``None`` if the batch itself is the answer; otherwise the batches it was split into, all
        finished. `k` failing requests among `n` cost at most ``2k * log2(n) + 1`` runs, and never
        more than ``2n - 1``.
    """
    requests = batch.requests
    try:
        names = requests[0].outputs
        batch.inputs = inputs = gather(requests)
        outputs = model.execute(inputs, names)
        batch.outputs = check_outputs(outputs, names, model.signature, batch.rows)
    except BaseException as error:  # noqa: BLE001  whatever a model raises is its requests' answer
        ended = isinstance(error, ProcessEnded)
        if len(requests) > 1 and not (half and ended) and not isinstance(error, _NOT_SPLIT):
            return _bisect(batch, model, clock, half=half or ended)
        if len(requests) > 1:
            batch.error = ordinary(error)
        else:
            look_again(batch, model, ordinary(error))
    batch.finished_at = clock()
    return None


def _bisect(batch: Batch, model: Model, clock: Callable[[], float], *, half: bool) -> list[Batch]:
    middle = len(batch.requests) // 2
    finished: list[Batch] = []
    for part in (batch.requests[:middle], batch.requests[middle:]):
        one = Batch(part, batch.formed_at, batch.queue)
        one.started_at = clock()
        finished += execute(one, model, clock, half=half) or [one]
    return finished


def gather(requests: Sequence[InferenceRequest]) -> Sequence[Array | None]:
    """The inputs of one run: row after row in the order of the requests.

    A single request is passed on as it is, without a copy. An input that the first request leaves
    out is left out by all; that is part of the batch class.
    """
    inputs = requests[0].inputs
    if len(requests) == 1:
        return inputs
    return [
        None if first is None else np.concatenate(_column(requests, at))
        for at, first in enumerate(inputs)
    ]


def _column(requests: Sequence[InferenceRequest], at: int) -> list[Any]:
    """The input at this place of every request."""
    return [request.inputs[at] for request in requests]
