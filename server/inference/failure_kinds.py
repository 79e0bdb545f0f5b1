"""What speaks against a version: in which way an answer of it is bad. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from penstock.batching.errors import InputsAtFault, InvalidOutput
from penstock.monitoring.metrics.layout import ARM_ERRORS, ARM_INVALID, ARM_TIMEOUTS
from penstock.runtimes.contract import UnsuitableInput
from penstock.server.errors import DeadlineExceeded, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.batching.request import Batch
    from penstock.server.errors import ApiError

#: Statuses from here on are not the client's fault.
SERVER_ERROR: Final = 500


def failure_kind_of(error: Exception, known: ApiError) -> int | None:
    """The counter of a failure, ``None`` if it says nothing about the version.

    A refusal because of overload does not: it depends on how many wait, not on who serves them.

    Args:
        error: What went wrong.
        known: The same, as a client is told.
    """
    if isinstance(known, DeadlineExceeded):
        return ARM_TIMEOUTS
    cause = error.cause if isinstance(error, InputsAtFault) else error
    if isinstance(cause, InvalidOutput):
        return ARM_INVALID
    if is_blamed(error):
        return ARM_ERRORS
    if known.status < SERVER_ERROR or isinstance(known, Unavailable):
        return None
    return ARM_ERRORS


def is_blamed(error: Exception) -> bool:
    """Whether a run failed and the inputs are held to be at fault, so the client is told 400.

    The version that says so may be the one that is broken: another one may answer these inputs.
    """
    return isinstance(error, (InputsAtFault, UnsuitableInput))


def unsound(firsts: Sequence[int], batch: Batch, *, batched: bool) -> set[int]:
    """Which requests of a run have NaN or infinity in an output.

    Args:
        firsts: The row in which each begins, ascending.
        batch: The run.
        batched: Whether axis 0 of outputs is rows; else all is one request's.
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
