"""Kinds of failures that count against a version of a rollout. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from penstock.batching.errors import InputsAtFault, InvalidOutput
from penstock.monitoring.metrics.layout import ARM_ERRORS, ARM_INVALID, ARM_TIMEOUTS
from penstock.runtimes.contract import ModelAway, UnsuitableInput
from penstock.server.errors import DeadlineExceeded, Unavailable
from penstock.server.pipelines.step_failed import cause_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.batching.request import Batch
    from penstock.server.errors import ApiError

#: Statuses from this one on are not caused by the client.
SERVER_ERROR: Final = 500


def failure_kind_of(error: Exception, known: ApiError) -> int | None:
    """The counter of a failure, ``None`` if the failure does not count against the version.

    A refusal because of overload does not count: it depends on the queue, not on the version.

    Args:
        error: The error.
        known: The error as the client gets it.
    """
    if isinstance(known, DeadlineExceeded):
        return ARM_TIMEOUTS
    error = cause_of(error)
    cause = error.cause if isinstance(error, InputsAtFault) else error
    if isinstance(cause, InvalidOutput):
        return ARM_INVALID
    if is_blamed(error):
        return ARM_ERRORS
    if isinstance(error, ModelAway):
        return ARM_ERRORS  # its process has died too often to be there
    if known.status < SERVER_ERROR or isinstance(known, Unavailable):
        return None
    return ARM_ERRORS


def is_blamed(error: Exception) -> bool:
    """Whether a run failed because of the inputs, so that the client gets status 400.

    The version that blames the inputs may itself be broken: another version may answer them.
    """
    return isinstance(cause_of(error), (InputsAtFault, UnsuitableInput))


def unsound(firsts: Sequence[int], batch: Batch, *, batched: bool) -> set[int]:
    """Requests of a run that have NaN or infinity in an output.

    Args:
        firsts: The first row of each request, ascending.
        batch: The finished run.
        batched: Whether axis 0 of the outputs counts rows; if not, all outputs belong to one
            request.
    """
    found: set[int] = set()
    for output in batch.outputs:
        if output.dtype.kind != "f":
            continue
        finite = np.isfinite(output)
        if finite.all():
            continue
        if not batched:
            return set(range(len(firsts)))
        rows = np.flatnonzero(~finite.reshape(len(output), -1).all(axis=1))
        found.update((np.searchsorted(firsts, rows, side="right") - 1).tolist())
    return found
