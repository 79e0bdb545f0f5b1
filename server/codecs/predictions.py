"""Outputs as people read them: ``{"predictions": [{"label": "benign", …}]}``, one value for a row.

The numbers have the same text as in an answer of the Open Inference Protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from penstock.server.errors import InferenceFailed

from . import base64_values
from .json import data_of, in_response_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array

    from .messages import InferRequest
    from .signature import WireOutput, WireSignature

_MATRIX: Final = 2
_NUMPY = orjson.OPT_SERIALIZE_NUMPY
_dumps = orjson.dumps


def encode(
    wire: WireSignature, request: InferRequest, outputs: Sequence[Array], *, named: bool
) -> bytes:
    """Write the answer to a request of rows.

    Args:
        wire: The signature of the model that answered.
        request: Request that is answered.
        outputs: One array per name in ``request.outputs``, holding this request's rows only.
        named: Whether labels and probabilities are told by the names of their classes.

    Raises:
        InvalidRequest: A BYTES output is not UTF-8.
        InferenceFailed: An output has not one element for each row, so that nobody can say whose
            they are. Of a model whose requests run alone this is not known before.
    """
    for name, array in zip(request.outputs, outputs, strict=True):
        if array.shape[:1] != (request.rows,):
            raise InferenceFailed(
                f"output {name!r} of the model has shape {list(array.shape)} for {request.rows} "
                "rows; a prediction for each row is wanted"
            )
    texts = row_texts(wire, request, outputs, named=named)
    return b'{"predictions":[%b]}' % b",".join(texts)


def row_texts(
    wire: WireSignature, request: InferRequest, outputs: Sequence[Array], *, named: bool
) -> list[bytes]:
    """The JSON of each row of a run; the arguments are those of `encode`.

    With names, and where there are several outputs, a row is an object of the outputs. Else it is
    the element of the only output.
    """
    pairs = list(in_response_order(wire, request, outputs))
    columns = [elements(output, array, named=named) for output, array in pairs]
    if len(pairs) == 1 and not named:
        return columns[0]
    names = b",".join(_dumps(output.name).replace(b"%", b"%%") + b":%b" for output, _ in pairs)
    template = b"{%b}" % names
    return [template % row for row in zip(*columns, strict=True)]


def elements(output: WireOutput, array: Array, *, named: bool) -> list[bytes]:
    """The JSON text of each row of one output."""
    if not array.size:
        return [_dumps(row.tolist()) for row in array]
    rows = len(array)
    size = array.size // rows
    if array.ndim == 1 or (size == 1 and array.ndim == _MATRIX and named):
        labels = output.labels if named else None
        if labels is not None and array.dtype.kind in "iu":
            return [labels.get(value) or b"%d" % value for value in array.ravel().tolist()]
        return _scalars(output, array)
    if array.ndim == _MATRIX:
        template = _list_template(size)
        if named and output.classes == size:
            template = output.row_template
        texts = _scalars(output, array)
        return [template % tuple(texts[at : at + size]) for at in range(0, rows * size, size)]
    if output.is_bytes:
        texts = _scalars(output, array)
        return [
            _nested(texts[at : at + size], array.shape[1:]) for at in range(0, len(texts), size)
        ]
    return [_dumps(array[row], None, _NUMPY) for row in range(rows)]


def _scalars(output: WireOutput, array: Array) -> list[bytes]:
    """The JSON text of each element of an array."""
    if not array.size:
        return []
    if output.is_bytes and output.name.endswith(base64_values.SUFFIX):
        return [base64_values.json_of(one) for one in array.ravel().tolist()]
    if output.is_bytes:
        return [data_of(output, array.ravel()[at : at + 1])[1:-1] for at in range(array.size)]
    return data_of(output, array)[1:-1].split(b",")


def _list_template(size: int) -> bytes:
    return b"[%b]" % b",".join([b"%b"] * size)


def _nested(texts: list[bytes], shape: tuple[int, ...]) -> bytes:
    """A list of texts, nested as the shape says."""
    if len(shape) == 1:
        return b"[%b]" % b",".join(texts)
    step = len(texts) // shape[0]
    parts = [_nested(texts[at * step : (at + 1) * step], shape[1:]) for at in range(shape[0])]
    return b"[%b]" % b",".join(parts)
