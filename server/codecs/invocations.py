"""``POST /invocations`` as MLflow and SageMaker have it, ``/score`` of Azure ML, and Vertex AI.

The body is one of these, as JSON, or rows as CSV:

    {"dataframe_split": {"columns": […], "data": [[…], …]}}      MLflow, `input_data` of Azure ML
    {"dataframe_records": [{…}, …]}                              MLflow
    {"instances": […]}                                           MLflow, Vertex AI
    {"inputs": …}                                                MLflow, as in TensorFlow Serving
    {"inputs": [{"name", "shape", "datatype", "data"}, …]}       Open Inference Protocol

The answer is ``{"predictions": […]}`` with one value for each row, or one object where the model
has several outputs; in the Open Inference Protocol it is that of the protocol.

Sources: the scoring server of MLflow 3 (``mlflow/pyfunc/scoring_server``), "Use your own inference
code" of Amazon SageMaker, "Custom container requirements" of Vertex AI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.server.errors import InvalidRequest

from . import csv_rows
from .json_data import read
from .messages import PLAIN, TENSORS, RowsRequest
from .request import build
from .rows import of_columns, of_rows, parse, read_extras
from .tensors import show

if TYPE_CHECKING:
    from .signature import WireSignature

_SPLIT: Final = "dataframe_split"
_RECORDS: Final = "dataframe_records"
_AZURE: Final = "input_data"
#: Exactly one of these is expected.
KINDS: Final = (_SPLIT, _RECORDS, "instances", "inputs", _AZURE)
#: Those of the server, see `read_request_parameters`.
_PARAMETERS: Final = ("timeout", "priority")
_FIELDS: Final = frozenset(("name", "shape", "datatype"))


def decode_csv(body: bytes | bytearray | memoryview, wire: WireSignature) -> RowsRequest:
    """Read rows of CSV.

    Args:
        body: Decompressed.
        wire: The model's signature.

    Raises:
        InvalidRequest: It is no CSV, or its rows are none of the model's.
        BodyTooLarge: It has too many cells.
    """
    request = of_rows(csv_rows.read_rows(bytes(body), wire.row_columns), wire)
    request.layout = PLAIN
    return request


def decode(body: bytes | bytearray | memoryview, wire: WireSignature) -> RowsRequest:
    """Read a body of JSON.

    Args:
        body: Decompressed.
        wire: The model's signature.

    Raises:
        InvalidRequest: It is not JSON, has not exactly one of `KINDS`, or its rows are none of the
            model's.
        BodyTooLarge: It holds too many values.
    """
    document = parse(body)
    kinds = [kind for kind in KINDS if type(document) is dict and kind in document]
    if len(kinds) != 1:
        found = f"has {' and '.join(map(repr, kinds))}" if kinds else f"is {show(document)}"
        if type(document) is dict and not kinds:
            found = "has none"
        raise InvalidRequest(
            f"the body {found}; expected an object with exactly one of "
            f"{', '.join(map(repr, KINDS))}"
        )
    (kind,) = kinds
    if document.get("params"):
        raise InvalidRequest("'params' are given; a model here takes none beside its inputs")
    value = document[kind]
    if kind == "inputs":
        return _of_inputs(document, wire)
    if kind == _SPLIT or (kind == _AZURE and type(value) is dict):
        value = _records(value, kind, named=bool(wire.row_columns.names))
    if type(value) is not list:
        raise InvalidRequest(f"'{kind}' is {show(value)}; expected a list of rows")
    request = of_rows(value, wire)
    read_extras(document, wire, request)
    _check_parameters(document, wire)
    request.layout = PLAIN
    return request


def _check_parameters(document: dict[str, Any], wire: WireSignature) -> None:
    """Refuse the ``parameters`` of Vertex AI that no model here has.

    Raises:
        InvalidRequest: There is one.
    """
    known = {*_PARAMETERS, wire.event_time}
    unknown = [name for name in document.get("parameters") or () if name not in known]
    if unknown:
        raise InvalidRequest(
            f"parameter {show(unknown[0])} is given; a model here takes none beside its inputs"
        )


def _of_inputs(document: dict[str, Any], wire: WireSignature) -> RowsRequest:
    value = document["inputs"]
    if type(value) is list and value and all(_is_tensor(one) for one in value):
        made = build(document, wire, read)
        if made.binary_outputs is not None:
            raise InvalidRequest("binary outputs need the content type with json-header-size")
        return RowsRequest.of(made, TENSORS)
    return of_columns(document, wire)


def _is_tensor(entry: Any) -> bool:
    return type(entry) is dict and entry.keys() >= _FIELDS


def _records(split: Any, kind: str, *, named: bool) -> list[Any]:
    """The rows of a table whose columns are named once.

    Args:
        split: The table.
        kind: Its key in the body.
        named: Whether the model names its columns; if not, their order counts.
    """
    names = split.get("columns") if type(split) is dict else None
    data = split.get("data") if type(split) is dict else None
    if type(data) is not list or not (names is None or type(names) is list):
        raise InvalidRequest(
            f"'{kind}' must be an object with the lists 'columns' and 'data', not {show(split)}"
        )
    if names is None:
        return data
    if not all(type(name) is str for name in names) or len(set(names)) < len(names):
        raise InvalidRequest(f"'columns' of '{kind}' must be names that differ")
    for number, row in enumerate(data):
        if type(row) is not list or len(row) != len(names):
            raise InvalidRequest(
                f"row {number} of '{kind}' is {show(row)}"
                + (f" of {len(row)} values" if type(row) is list else "")
                + f"; expected a list of {len(names)} values, one for each of 'columns'"
            )
    return [dict(zip(names, row, strict=True)) for row in data] if named else data
