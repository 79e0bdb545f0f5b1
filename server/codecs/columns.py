"""The column format of TensorFlow Serving: ``{"inputs": …}`` in, ``{"outputs": …}`` out.

``inputs`` has one nested list for each input of the model, or the list alone where there is one
input. Where the model names its columns, ``inputs`` may have one list for each column instead.

Source: "Specifying input tensors in column format" in TensorFlow Serving's description of its REST
API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from penstock.server.errors import InvalidRequest

from . import base64_values
from .json import MANY_NUMBERS, data_of, in_response_order
from .json_data import read
from .request import build
from .tensors import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array

    from .messages import InferRequest
    from .row_columns import RowColumns
    from .signature import WireOutput, WireSignature

_NUMPY = orjson.OPT_SERIALIZE_NUMPY
_dumps = orjson.dumps


def rows_of_columns(inputs: Any, columns: RowColumns) -> list[list[Any]] | None:
    """The rows of a request with one list for each column; ``None`` if it has one for each input.

    Args:
        inputs: The value of ``inputs``.
        columns: The columns of the model.

    Returns:
        The rows as lists, in the order of rows that are plain lists.

    Raises:
        InvalidRequest: The columns have not the same number of values.
    """
    names = [one.name for one in columns.listed] if columns.names else []
    by_input = {one.spec.name for one in columns.inputs}
    if type(inputs) is not dict or inputs.keys() == by_input or inputs.keys() != set(names):
        return None
    lists = [inputs[name] for name in names]
    for name, values in zip(names, lists, strict=True):
        if type(values) is not list or len(values) != len(lists[0]):
            raise InvalidRequest(
                f"column '{name}' of 'inputs' is {show(values)}"
                + (f" of {len(values)} values" if type(values) is list else "")
                + "; expected a list, as long as the other columns"
            )
    return [list(row) for row in zip(*lists, strict=True)]


def decode_inputs(inputs: Any, wire: WireSignature) -> InferRequest:
    """Read one nested list for each input.

    Args:
        inputs: The value of ``inputs``.
        wire: The model's signature.

    Raises:
        InvalidRequest: The model does not take it.
    """
    if type(inputs) is not dict:
        if len(wire.inputs) != 1:
            names = ", ".join(map(repr, wire.inputs))
            raise InvalidRequest(
                f"'inputs' is {show(inputs)}; expected an object with one value for each input, "
                f"{names}"
            )
        inputs = {next(iter(wire.inputs)): inputs}
    entries = []
    for name, value in inputs.items():
        spec = wire.inputs.get(name)
        # An unknown name is told by `build`, as in every other protocol.
        shape = [] if spec is None else _shape_of(value, spec.shape)
        entry = {"name": name, "shape": shape, "data": value}
        entries.append({**entry, "datatype": spec.datatype} if spec is not None else entry)
    return build({"inputs": entries}, wire, read)


def _shape_of(value: Any, expected: Sequence[int]) -> list[int]:
    """The lengths of nested lists, those of the first at each level.

    No list is in an empty one: what would be in it has the expected lengths.
    """
    shape: list[int] = []
    while type(value) is list and len(shape) < len(expected):
        shape.append(len(value))
        if not value:
            return shape + [max(size, 0) for size in expected[len(shape) :]]
        value = value[0]
    return shape


def encode(
    wire: WireSignature,
    request: InferRequest,
    outputs: Sequence[Array],
    key: bytes = b"outputs",
) -> bytes:
    """Write the outputs by name, or the only one alone.

    Args:
        wire: The signature of the model that answered.
        request: Request that is answered.
        outputs: One array per name in ``request.outputs``.
        key: The key of the answer.

    Raises:
        InvalidRequest: A BYTES output is not UTF-8.
    """
    pairs = list(in_response_order(wire, request, outputs))
    texts = [_nested(output, array) for output, array in pairs]
    if len(texts) == 1:
        return b'{"%b":%b}' % (key, texts[0])
    names = [_dumps(output.name) for output, _ in pairs]
    fields = [b"%b:%b" % pair for pair in zip(names, texts, strict=True)]
    return b'{"%b":{%b}}' % (key, b",".join(fields))


def _nested(output: WireOutput, array: Array) -> bytes:
    """The JSON of an array as nested lists; of a scalar as a scalar."""
    if not array.ndim:
        return _elements(output, array)[1:-1]
    if array.ndim == 1:
        return _elements(output, array)
    if output.is_bytes or array.size > MANY_NUMBERS:  # no call into C may take long
        return b"[%b]" % b",".join([_nested(output, row) for row in array])
    return _dumps(array if array.flags.c_contiguous else array.copy(), None, _NUMPY)


def _elements(output: WireOutput, array: Array) -> bytes:
    if output.is_bytes and output.name.endswith(base64_values.SUFFIX):
        return b"[%b]" % b",".join(map(base64_values.json_of, array.ravel().tolist()))
    return data_of(output, array)
