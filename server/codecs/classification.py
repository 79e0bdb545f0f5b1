"""The classification extension: the highest values of an output, as texts with their classes.

An output that a request asks for with the parameter ``classification: k`` is answered as BYTES.
Each element is ``score:index`` or ``score:index:label``, the highest score first. Where requests
may share a run, each row has its own; else the output is ranked as a whole. A score is the shortest
text that reads back as the same number; labels are the names of classes, where they are known.
Source: "Classification Extension" of the documentation of the Triton Inference Server.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.runtimes.contract import VARIABLE, TensorSpec
from penstock.server.errors import InvalidRequest

from .parameters import count_of
from .signature import MAX_REMEMBERED, WireSignature
from .tensors import objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array

    from .messages import InferRequest
    from .signature import WireOutput

PARAMETER: Final = "classification"
#: Texts in the answer to one request; each is an object, made on the event loop.
MAX_TEXTS: Final = 1 << 16


def classes_wanted(parameters: dict[str, Any], output: WireOutput, rows: int) -> int:
    """How many classes of an output a request asks for; 0 for the output as it is.

    Args:
        parameters: Parameters of the output in the request.
        output: The output.
        rows: Rows of the request.

    Raises:
        InvalidRequest: The parameter is no number of classes, or the output has no scores.
    """
    owner = f" of output '{output.name}'"
    count = count_of(parameters, PARAMETER, "a number of classes", owner) or 0
    if not count:
        return 0
    if output.dtype.kind not in "iuf":
        raise InvalidRequest(
            f"output '{output.name}' is {output.datatype}: only numbers can be ranked, so leave "
            f"out the parameter '{PARAMETER}'"
        )
    if rows * count > MAX_TEXTS:
        raise InvalidRequest(
            f"output '{output.name}': {count} classes for each of {rows} rows; at most {MAX_TEXTS} "
            "in one request"
        )
    return count


def classified(
    wire: WireSignature, request: InferRequest, outputs: Sequence[Array]
) -> tuple[WireSignature, list[Array]]:
    """The outputs of a request, those with classes as texts, and the signature that they have.

    Args:
        wire: The signature of the model that answered.
        request: Request that is answered; it has `InferRequest.classes`.
        outputs: One array per name in ``request.outputs``, holding this request's rows only.
    """
    wanted = request.classes or {}
    named = tuple(sorted(wanted))
    described = wire.classified.get(named)
    if described is None:
        described = _described(wire, named)
        if len(wire.classified) < MAX_REMEMBERED:
            wire.classified[named] = described
    labels = {one.name: [column.name for column in one.columns] for one in wire.signature.outputs}
    ranked = [
        _ranked(array, wanted[name], labels[name], by_rows=wire.batch_axis)
        if name in wanted
        else array
        for name, array in zip(request.outputs, outputs, strict=True)
    ]
    return described, ranked


def _described(wire: WireSignature, named: tuple[str, ...]) -> WireSignature:
    """The signature with BYTES in place of these outputs."""
    shape = (VARIABLE, VARIABLE) if wire.batch_axis else (VARIABLE,)
    outputs = tuple(
        TensorSpec(one.name, "BYTES", shape) if one.name in named else one
        for one in wire.signature.outputs
    )
    signature = replace(wire.signature, outputs=outputs)
    return WireSignature(signature, wire.model_name, wire.model_version)


def _ranked(array: Array, count: int, labels: list[str], *, by_rows: bool) -> Array:
    if not by_rows:
        texts = _texts(array.ravel(), count, labels)
        return objects(texts, [len(texts)])
    rows = array.reshape(len(array), -1) if array.size else array.reshape(len(array), 0)
    kept = min(count, rows.shape[1])
    return objects([text for row in rows for text in _texts(row, count, labels)], [len(rows), kept])


def _texts(scores: Array, count: int, labels: list[str]) -> list[bytes]:
    """The highest scores; of equal ones that of the first class comes first, NaN comes last."""
    keys = scores
    if scores.dtype.kind == "f":
        keys = np.where(np.isnan(scores), -np.inf, scores)
    last = len(scores) - 1
    places = (last - np.argsort(keys[::-1], kind="stable")[::-1])[:count].tolist()
    names = [f":{label}" for label in labels] if len(labels) == len(scores) else [""] * len(scores)
    return [f"{scores[place]!s}:{place}{names[place]}".encode() for place in places]
