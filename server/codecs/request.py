"""From a decoded document to an `InferRequest`: the rules that all wire formats share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

from penstock.runtimes.contract import VARIABLE
from penstock.server.errors import InvalidRequest

from .bfloat16 import BF16
from .classification import PARAMETER, classes_wanted
from .messages import InferRequest
from .parameters import count_of, flag_of, input_parameters, output_parameters, request_parameters
from .tensors import show

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from penstock.runtimes.contract import Array

    from .signature import WireInput, WireSignature

    #: Turns one entry of ``inputs`` into an array: (entry, input, checked shape, elements).
    Reader: TypeAlias = Callable[[dict[str, Any], WireInput, list[int], int], Array]

#: Of an input that has no parameters beside its data.
_PLAIN_KEYS = 4

#: Sizes beyond this overflow the arithmetic of numpy.
MAX_DIMENSION = 2**40

#: A body bounds a tensor by its elements. One without elements could claim any number of rows, and
#: a model would make outputs of that size.
MAX_EMPTY = 2**16


def build(document: Any, wire: WireSignature, read: Reader) -> InferRequest:
    """Check an inference request against the signature and read its tensors.

    Args:
        document: The request as the protocol lays it out, decoded.
        wire: The model's signature.
        read: Reads the data of one input.

    Raises:
        InvalidRequest: Whatever is wrong, naming what was expected.
    """
    entries = document.get("inputs") if type(document) is dict else None
    if type(entries) is not list:
        raise _no_inputs(document, wire)
    arrays = wire.blank.copy()
    inputs = wire.inputs
    rows = -1
    for entry in entries:
        try:
            spec = inputs[entry["name"]]
            shape = entry["shape"]
            usable = entry["datatype"] == spec.datatype and arrays[spec.position] is None
        except (KeyError, TypeError):
            raise _unusable(entry, wire) from None
        if not usable or type(shape) is not list:
            spec = _as_bfloat16(entry, spec, arrays, wire)
        size = size_of(shape, spec)
        if spec.batched and shape[0] != rows:
            rows = _rows_of(shape, spec, rows, wire)
        if len(entry) > _PLAIN_KEYS:
            input_parameters(entry, f"input '{spec.name}'")
        arrays[spec.position] = read(entry, spec, shape, size)
    if len(entries) != len(arrays):
        _check_complete(wire, arrays)
    rows = rows if rows >= 0 else rows_alone(wire, arrays)
    request = InferRequest(arrays, rows, wire.all_outputs)
    if len(document) > 1:
        _read_extras(document, wire, request)
    if not wire.static or request.outputs is not wire.all_outputs:
        request.key = batch_key(wire, request)
    return request


def _as_bfloat16(
    entry: dict[str, Any], spec: WireInput, arrays: list[Array | None], wire: WireSignature
) -> WireInput:
    """The input as one of BF16, if the entry is that; see `penstock.server.codecs.bfloat16`."""
    taken = arrays[spec.position] is not None or type(entry["shape"]) is not list
    narrow = None if taken or entry["datatype"] != BF16 else spec.bfloat16
    if narrow is None:
        raise _unusable(entry, wire)
    return narrow


def _rows_of(shape: list[Any], spec: WireInput, rows: int, wire: WireSignature) -> int:
    """Rows of the first input of a request.

    Args:
        shape: Shape of the input.
        spec: The input.
        rows: Rows of the inputs before it, another number; -1 if it is the first.
        wire: The model's signature.
    """
    if rows >= 0:
        raise InvalidRequest(
            f"input '{spec.name}' has {shape[0]} rows where the inputs before it have "
            f"{rows}; axis 0 is the batch and must be equal for all"
        )
    if shape[0] > wire.max_rows:
        raise InvalidRequest(
            f"input '{spec.name}': {shape[0]} rows; a request has {wire.max_rows} at most, so "
            "send the elements in several"
        )
    found: int = shape[0]
    return found


def rows_alone(wire: WireSignature, arrays: Sequence[Array | None]) -> int:
    """Rows of a request that shares a run with no other: for the log and the figures.

    What it is answered does not hang on them. So inputs that differ in axis 0 are no error: a model
    may take a list of queries and a list of keys. Such a request is one row, as are one without
    elements and one of more rows than others may have.

    Args:
        wire: The model's signature.
        arrays: One per input.
    """
    if not wire.rows_axis:
        return 1
    inputs = zip(wire.inputs.values(), arrays, strict=True)
    counts = {len(array) for spec, array in inputs if spec.by_rows and array is not None}
    rows = counts.pop() if len(counts) == 1 else 1
    return rows if 0 < rows <= wire.max_rows else 1


def _no_inputs(document: Any, wire: WireSignature) -> InvalidRequest:
    if type(document) is not dict:
        return InvalidRequest(f"the body must be an object with 'inputs', not {show(document)}")
    problem = "no 'inputs'" if document.get("inputs") is None else "'inputs' that are not a list"
    return InvalidRequest(f"the request has {problem}; expected {_names(wire)}")


def _unusable(entry: Any, wire: WireSignature) -> InvalidRequest:
    """What is wrong with an input, in the order that a reader would look."""
    if type(entry) is not dict:
        return InvalidRequest(f"each of 'inputs' must be an object, not {show(entry)}")
    name = entry.get("name")
    spec = wire.inputs.get(name) if type(name) is str else None
    if spec is None:
        problem = "an input has no 'name'" if name is None else f"unknown input {show(name)}"
        return InvalidRequest(f"{problem}; expected {_names(wire)}")
    datatype = entry.get("datatype")
    if datatype != spec.datatype:
        return InvalidRequest(
            f'input \'{name}\' must have "datatype":"{spec.datatype}", not {show(datatype)}'
        )
    shape = entry.get("shape")
    if type(shape) is not list:
        problem = "has no 'shape'" if shape is None else "has a 'shape' that is not a list"
        return InvalidRequest(f"input '{name}' {problem}; expected {list(spec.shape)}")
    return InvalidRequest(f"input '{name}' is given twice")


def size_of(shape: list[Any], spec: WireInput) -> int:
    """The number of elements of a tensor of this shape.

    Raises:
        InvalidRequest: It is no shape of this input.
    """
    for dimension in shape:
        if type(dimension) is not int or not 0 <= dimension <= MAX_DIMENSION:
            raise InvalidRequest(
                f"input '{spec.name}': the dimensions of 'shape' must be integers of at least 0, "
                f"not {show(dimension)}"
            )
    if shape[1:] == spec.tail and shape:
        size: int = shape[0] * spec.tail_size
    elif len(shape) == len(spec.shape) and all(
        wanted in (given, VARIABLE) for given, wanted in zip(shape, spec.shape, strict=True)
    ):
        size = math.prod(shape)
    else:
        raise _wrong_shape(shape, spec)
    if size == 0 and math.prod(filter(None, shape)) > MAX_EMPTY:
        raise InvalidRequest(
            f"input '{spec.name}' has shape {show_shape(shape)}: the other dimensions of a tensor "
            f"without elements may multiply to {MAX_EMPTY} at most"
        )
    return size


def _wrong_shape(shape: list[Any], spec: WireInput) -> InvalidRequest:
    return InvalidRequest(
        f"input '{spec.name}' has shape {show_shape(shape)}, expected {list(spec.shape)}"
        + (" where -1 is any size" if VARIABLE in spec.shape else "")
    )


def show_shape(shape: list[Any]) -> str:
    """A client's shape as it appears in an error."""
    more = ", …" if len(shape) > 8 else ""  # noqa: PLR2004  enough to recognise it
    return f"[{', '.join(map(show, shape[:8]))}{more}]"


def _names(wire: WireSignature) -> str:
    inputs = (
        f"'{spec.name}' {spec.datatype}{list(spec.shape)}{' (optional)' if spec.optional else ''}"
        for spec in wire.inputs.values()
    )
    return "inputs " + ", ".join(inputs)


def _check_complete(wire: WireSignature, arrays: list[Array | None]) -> None:
    missing = [
        spec.name
        for spec in wire.inputs.values()
        if arrays[spec.position] is None and not spec.optional
    ]
    if missing:
        listed = ", ".join(f"'{name}'" for name in missing)
        raise InvalidRequest(f"missing input {listed}; expected {_names(wire)}")
    if wire.batch_axis and arrays and all(array is None for array in arrays):
        raise InvalidRequest(f"at least one input must be given; expected {_names(wire)}")


def batch_key(wire: WireSignature, request: InferRequest) -> Hashable:
    """What two requests must have in common to share a batch, besides the model.

    An optional input that is given replaces a constant of the model, which has no rows: such a
    request shares a batch with no other.
    """
    for spec in wire.optional:
        if request.inputs[spec.position] is not None:
            return object()
    own = 1 if wire.batch_axis else 0
    shapes = tuple(None if array is None else array.shape[own:] for array in request.inputs)
    return (shapes, request.outputs)


def _read_extras(document: dict[str, Any], wire: WireSignature, request: InferRequest) -> None:
    identity = document.get("id")
    if identity is not None:
        if type(identity) is not str:
            raise InvalidRequest(f"'id' must be a string, not {show(identity)}")
        request.id = identity
    parameters = read_request_parameters(document, wire, request)
    binary = flag_of(parameters, "binary_data_output", "the request") or False
    wanted = document.get("outputs")
    if wanted:
        _read_outputs(wanted, wire, request, binary=binary)
    elif wanted is not None and type(wanted) is not list:
        raise InvalidRequest(f"'outputs' must be a list, not {show(wanted)}")
    elif binary:
        request.binary_outputs = frozenset(wire.all_outputs)


def read_request_parameters(
    document: dict[str, Any], wire: WireSignature, request: InferRequest
) -> dict[str, Any]:
    """Read the parameters that a request may have in every JSON protocol; returns all of them.

    Raises:
        InvalidRequest: One of them is none, or is not served here.
    """
    parameters = request_parameters(document)
    request.timeout_microseconds = count_of(parameters, "timeout", "microseconds")
    request.priority = count_of(parameters, "priority", "a level")
    if wire.event_time:
        request.event_time = parameters.get(wire.event_time)
    return parameters


def _read_outputs(wanted: Any, wire: WireSignature, request: InferRequest, *, binary: bool) -> None:
    if type(wanted) is not list:
        raise InvalidRequest(f"'outputs' must be a list, not {show(wanted)}")
    names: dict[str, bool] = {}
    for entry in wanted:
        name = entry.get("name") if type(entry) is dict else None
        if type(name) is not str or name not in wire.outputs:
            known = ", ".join(f"'{output}'" for output in wire.all_outputs)
            problem = "an output has no name" if name is None else f"unknown output {show(name)}"
            raise InvalidRequest(f"{problem}; the model has {known}")
        if name in names:
            raise InvalidRequest(f"output '{name}' is asked for twice")
        parameters = output_parameters(entry, f"output '{name}'")
        own = flag_of(parameters, "binary_data", f"output '{name}'")
        names[name] = binary if own is None else own
        if PARAMETER in parameters:
            count = classes_wanted(parameters, wire.outputs[name], request.rows)
            if count:
                request.classes = {**(request.classes or {}), name: count}
    ordered = tuple(name for name in wire.all_outputs if name in names)
    request.outputs = wire.all_outputs if ordered == wire.all_outputs else ordered
    if tuple(names) != ordered:
        request.response_order = tuple(ordered.index(name) for name in names)
    if any(names.values()):
        request.binary_outputs = frozenset(name for name, raw in names.items() if raw)
