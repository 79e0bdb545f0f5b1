"""From the tensors of several requests to those of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

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
