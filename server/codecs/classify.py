"""``:classify`` and ``:regress`` of TensorFlow Serving: examples in, classes or one number out.

An example is an object of features. ``context`` has the features that all examples share.

Source: "Classify and Regress API" of TensorFlow Serving's description of its REST API. The answer
has the key ``results``, as its server writes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from penstock.runtimes.datatypes import NUMPY_OF
from penstock.server.errors import InvalidRequest

from .json import data_of
from .request import batch_key
from .rows import check_signature, of_rows, parse
from .tensors import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array, TensorSpec

    from .messages import InferRequest, RowsRequest
    from .signature import WireSignature

_MATRIX: Final = 2
_EXAMPLE: Final = '{"examples": [{"age": 31, "city": "Oslo"}]}'


def decode(
    body: bytes | bytearray | memoryview, wire: WireSignature, *, classes: bool
) -> RowsRequest:
    """Read a request of examples.

    Args:
        body: Decompressed.
        wire: The model's signature.
        classes: Whether the scores of classes are wanted; else one number for each example.

    Raises:
        InvalidRequest: It is no such request, or the model has no such output.
    """
    document = parse(body)
    examples = document.get("examples") if type(document) is dict else None
    if type(examples) is not list or not all(type(one) is dict for one in examples):
        raise InvalidRequest(f"the body has no list of objects 'examples', such as {_EXAMPLE}")
    check_signature(document)
    context = document.get("context", {})
    if type(context) is not dict:
        raise InvalidRequest(f"'context' is {show(context)}; expected an object of features")
    spec = _scores(wire) if classes else _numbers(wire)
    if spec is None:
        what = "scores of classes" if classes else "one number for each row"
        raise InvalidRequest(
            f"model '{wire.model_name}' has no output with {what}; use "
            f"/v1/models/{wire.model_name}:predict"
        )
    named = bool(wire.row_columns.names)
    request = of_rows([_row({**context, **one}, named=named) for one in examples], wire)
    if wire.all_outputs != (spec.name,):
        request.outputs = (spec.name,)
        request.key = batch_key(wire, request)
    return request


def _row(example: dict[str, Any], *, named: bool) -> dict[str, Any]:
    """A row: a feature of one value may be written as a list."""
    if not named:
        return example
    return {
        name: value[0] if type(value) is list and len(value) == 1 else value
        for name, value in example.items()
    }


def _scores(wire: WireSignature) -> TensorSpec | None:
    """The output with one score for each class."""
    tables = [
        one
        for one in wire.signature.outputs
        if len(one.shape) == _MATRIX and one.shape[1] != 1 and NUMPY_OF[one.datatype].kind == "f"
    ]
    return next((one for one in tables if one.columns), tables[0] if len(tables) == 1 else None)


def _numbers(wire: WireSignature) -> TensorSpec | None:
    """The output with one number for each row."""
    found = [
        one
        for one in wire.signature.outputs
        if NUMPY_OF[one.datatype].kind == "f"
        and (len(one.shape) == 1 or (len(one.shape) == _MATRIX and one.shape[1] == 1))
    ]
    return found[0] if len(found) == 1 else None


def encode(
    wire: WireSignature, request: InferRequest, outputs: Sequence[Array], *, classes: bool
) -> bytes:
    """Write the results.

    Args:
        wire: The signature of the model that answered.
        request: Request that is answered.
        outputs: The only output that is wanted.
        classes: As for `decode`.
    """
    (name,), (array,) = request.outputs, outputs
    output = wire.outputs[name]
    if not array.size:
        return b'{"results":[]}'
    texts = data_of(output, array)[1:-1].split(b",")
    if not classes:
        return b'{"results":[%b]}' % b",".join(texts)
    width = array.size // len(array)
    spec = next(one for one in wire.signature.outputs if one.name == name)
    names = [one.name for one in spec.columns]
    if len(names) != width:
        names = [str(number) for number in range(width)]
    pair = [orjson.dumps(one).replace(b"%", b"%%") for one in names]
    template = b"[%b]" % b",".join([b"[%b,%%b]" % one for one in pair])
    rows = [template % tuple(texts[at : at + width]) for at in range(0, len(texts), width)]
    return b'{"results":[%b]}' % b",".join(rows)
