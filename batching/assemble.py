"""From the tensors of several requests to those of one run, and a check of what came back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InvalidOutput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array

    from .request import InferenceRequest


def gather(requests: Sequence[InferenceRequest]) -> Sequence[Array | None]:
    """The inputs of one run: row after row in the order of the requests.

    A single request is passed on as it is, without a copy. An input that the first request leaves
    out is left out by all; that is part of the batch class.
    """
    inputs = requests[0].inputs
    if len(requests) == 1:
        return inputs
    return [
        None if first is None else np.concatenate(column(requests, i))
        for i, first in enumerate(inputs)
    ]


def column(requests: Sequence[InferenceRequest], i: int) -> list[Any]:
    """Input ``i`` of every request."""
    return [request.inputs[i] for request in requests]


def check_rows(outputs: Sequence[Array], names: Sequence[str], rows: int) -> None:
    """Every output must have one row per input row.

    Raises:
        InvalidOutput: One has not; slicing it would give a caller somebody else's answer.
    """
    for output in outputs:
        if output.shape[:1] != (rows,):
            break
    else:
        if len(outputs) == len(names):
            return
        raise InvalidOutput(f"the model gave {len(outputs)} outputs, expected {len(names)}")
    raise InvalidOutput(
        f"the model gave outputs of shape {[output.shape for output in outputs]} for {rows} rows;"
        " axis 0 of every output must be the batch axis"
    )
