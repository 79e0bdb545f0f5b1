"""Runs one batch on the calling thread, and finds the requests that make it fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .assemble import gather
from .blame import look_again
from .contained import ordinary
from .outputs import check_outputs
from .request import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.runtimes.contract import Model


def execute(batch: Batch, model: Model, clock: Callable[[], float]) -> list[Batch] | None:
    """Run the batch and fill in its outputs, or split it until each failing request runs alone.

    Never raises: an error of the model becomes `Batch.error`, after `blame` has looked for the
    cause.

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
        if len(requests) > 1:
            return _bisect(batch, model, clock)
        look_again(batch, model, ordinary(error))
    batch.finished_at = clock()
    return None


def _bisect(batch: Batch, model: Model, clock: Callable[[], float]) -> list[Batch]:
    middle = len(batch.requests) // 2
    finished: list[Batch] = []
    for part in (batch.requests[:middle], batch.requests[middle:]):
        half = Batch(part, batch.formed_at, batch.queue)
        half.started_at = clock()
        finished += execute(half, model, clock) or [half]
    return finished
