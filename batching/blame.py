"""Finds out whether a failed run of one request is the fault of the model or of the request.

The error of a model does not show the cause. So after a request has failed alone, inputs that the
model is known to accept are run, and then the request once more:

- the known inputs fail, too: the model is at fault, or its machine, and the error stays;
- they run, and the request fails again: the inputs of the request are at fault, `InputsAtFault`;
- they run, and so does the request: it is answered.

Without known inputs, or if a plug-in raises an error outside of its contract, the error stays, too.
Only failed requests pay for the extra runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.runtimes.contract import (
    ModelAway,
    ModelExecutionError,
    ProcessEnded,
    ResourcesExhausted,
    RunTimeout,
    UnsuitableInput,
)

from .contained import ordinary
from .errors import InputsAtFault, LostRows
from .outputs import check_outputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array, Model, Signature

    from .request import Batch

#: Most bytes of the known inputs of a model.
MAX_KNOWN_BYTES: Final = 1 << 20
_KNOWN: Final = (UnsuitableInput, ResourcesExhausted, ProcessEnded, RunTimeout, ModelAway)
#: Most inputs that an error message names.
_MAX_NAMED: Final = 8


def look_again(batch: Batch, model: Model, error: Exception) -> None:
    """Fill in the error of a batch of one request that failed, or its outputs after all."""
    batch.error = error
    scheduled = None if batch.queue is None else batch.queue.owner
    known = None if scheduled is None else scheduled.known_inputs
    if known is None or not _may_be_the_inputs(error):
        return
    signature, names = model.signature, batch.requests[0].outputs
    try:
        rows = next((len(one) for one in known if one is not None and one.ndim), 1)
        check_outputs(model.execute(known, names), names, signature, rows)
    except BaseException:  # noqa: BLE001  as in `execution.execute`
        return
    try:
        outputs = model.execute(batch.inputs, names)
        batch.outputs = check_outputs(outputs, names, signature, batch.rows)
    except BaseException as again:  # noqa: BLE001  as above
        later = ordinary(again)
        batch.error = later
        if _may_be_the_inputs(later):
            batch.error = InputsAtFault(later, _shapes(signature, batch.inputs))
    else:
        batch.error = None


def known_inputs(inputs: Sequence[Array | None], signature: Signature) -> list[Any] | None:
    """A copy of the first row of inputs that a model has run; ``None`` if that is large."""
    kept: list[Any] = []
    for array, spec in zip(inputs, signature.inputs, strict=True):
        rows = array if array is None or not signature.batch_axis or spec.optional else array[:1]
        kept.append(rows)
    if not kept or sum(0 if one is None else one.nbytes for one in kept) > MAX_KNOWN_BYTES:
        return None
    return [None if one is None else one.copy() for one in kept]


def _may_be_the_inputs(error: Exception) -> bool:
    if isinstance(error, _KNOWN):
        return False  # the cause of this error is known already, or too dear to look for
    return isinstance(error, (ModelExecutionError, LostRows))


def _shapes(signature: Signature, inputs: Sequence[Array | None]) -> str:
    given = [
        f"'{spec.name}' {list(array.shape)}"
        for spec, array in zip(signature.inputs, inputs, strict=True)
        if array is not None
    ]
    more = ", …" if len(given) > _MAX_NAMED else ""
    return ", ".join(given[:_MAX_NAMED]) + more
