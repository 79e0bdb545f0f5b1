"""Whether axis 0 of a graph of tensors is rows, and whether rows of several requests share a run.

For runtimes whose files say the shapes of tensors, and whose graphs nobody here reads.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from .contract import VARIABLE, ModelExecutionError, ModelLoadError, Signature
from .row_probe import probe
from .synthetic import synthetic_inputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from .contract import LoadOptions, Model
    from .row_settings import RowSettings

    Made = TypeVar("Made", bound=Model)

#: So many rows are given together, to see whether so many answers come.
_ROWS: Final = 3


def with_rows(
    make: Callable[[Signature], Made],
    declared: Signature,
    settings: RowSettings,
    options: LoadOptions,
) -> Made:
    """The model with what was found out of its rows.

    Args:
        make: Makes the model for a signature.
        declared: Signature that its file declares, without a batch axis.
        settings: The owner's word.
        options: Of the load.

    Raises:
        ModelLoadError: The owner wants a batch axis where there can be none.
    """
    impossible = _no_rows(make(declared), declared)
    if impossible:
        if settings.batch_axis:
            raise ModelLoadError(f"batch_axis = true cannot be: {impossible}")
        return make(replace(declared, batching=impossible))
    if settings.batch_axis is not None:
        word = str(settings.batch_axis).lower()
        batch_axis, reason = settings.batch_axis, f"declared by batch_axis = {word}"
    else:
        result = probe(make(replace(declared, batch_axis=True)), options.max_rows)
        batch_axis, reason = result.apart, result.reason
    return make(replace(declared, batch_axis=batch_axis, batching=reason, rows_axis=True))


def _no_rows(model: Model, declared: Signature) -> str:
    """Why axis 0 is not rows; empty if it is."""
    for spec in (*declared.inputs, *declared.outputs):
        if spec.shape[:1] != (VARIABLE,):
            return f"axis 0 of '{spec.name}' is not open: {list(spec.shape)}"
    names = [one.name for one in declared.outputs]
    try:
        for rows in (1, _ROWS):
            given = synthetic_inputs(replace(declared, rows_axis=True), rows)
            if any(len(one) != rows for one in model.execute(given, names)):
                return f"{rows} rows do not give {rows} answers"
    except ModelExecutionError as error:
        return f"it accepts no made-up rows: {error}"
    return ""
