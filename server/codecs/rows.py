"""Bodies of rows, ``{"instances": [{"age": 31, "city": "Oslo"}, …]}``, to requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from penstock.server.errors import InvalidRequest

from . import base64_values
from .columns import decode_inputs, rows_of_columns
from .json_data import malformed
from .json_values import check_values
from .large_json import LARGE_BYTES
from .messages import COLUMNS, PLAIN, RowsRequest
from .request import batch_key, read_request_parameters
from .row_arrays import arrays_of
from .tensors import show

if TYPE_CHECKING:
    from .signature import WireSignature

#: Values in one body, names of keys among them. A decoder makes an object of each.
MAX_VALUES: Final = 1 << 20
#: The name of the only signature that a model has, as TensorFlow names it.
SIGNATURE: Final = "serving_default"
_EXAMPLE: Final = '{"instances": [{"age": 31, "city": "Oslo"}]}'


def decode(body: bytes | bytearray | memoryview, wire: WireSignature) -> RowsRequest:
    """Read a request of rows, in the row format or the column format of TensorFlow Serving.

    Args:
        body: Decompressed.
        wire: The model's signature.

    Raises:
        InvalidRequest: It is not JSON, or its rows are none of the model's; the message names row
            and column, and says what was expected.
        BodyTooLarge: It holds too many values.
    """
    document = parse(body)
    if type(document) is dict and "inputs" in document:
        if "instances" in document:
            raise InvalidRequest("the body has both 'instances' and 'inputs'; expected one of them")
        return of_columns(document, wire)
    request = of_rows(_instances(document), wire)
    read_extras(document, wire, request)
    return request


def parse(body: bytes | bytearray | memoryview) -> Any:
    """A body of JSON, decoded; an object ``{"b64": …}`` in it stands for bytes.

    Raises:
        InvalidRequest: It is not JSON.
        BodyTooLarge: It holds too many values.
    """
    if type(body) is not bytes:
        body = bytes(body)
    if len(body) > LARGE_BYTES:
        check_values(body, MAX_VALUES)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise malformed(error) from None
    return base64_values.with_bytes(document) if base64_values.MARK in body else document


def of_rows(rows: list[Any], wire: WireSignature) -> RowsRequest:
    """The request of these rows.

    Args:
        rows: Objects, lists or values.
        wire: The model's signature.

    Raises:
        InvalidRequest: As from `decode`.
    """
    columns = wire.row_columns
    if columns.problem:
        raise InvalidRequest(
            f"model '{wire.model_name}' takes no rows: {columns.problem}; "
            f"send tensors to /v2/models/{wire.model_name}/infer"
        )
    if len(rows) > wire.max_rows:
        raise InvalidRequest(
            f"{len(rows)} rows; a request has {wire.max_rows} at most, so send them in several"
        )
    request = RowsRequest(arrays_of(rows, columns, wire), len(rows), wire.all_outputs)
    if not wire.static:
        request.key = batch_key(wire, request)
    return request


def of_columns(document: dict[str, Any], wire: WireSignature) -> RowsRequest:
    """The request of a body in the column format, whose answer has the column format, too.

    Args:
        document: The body, with ``inputs``.
        wire: The model's signature.

    Raises:
        InvalidRequest: As from `decode`.
    """
    rows = rows_of_columns(document["inputs"], wire.row_columns)
    if rows is not None:
        request = of_rows(rows, wire)
    else:
        request = RowsRequest.of(decode_inputs(document["inputs"], wire), COLUMNS)
    read_extras(document, wire, request)
    request.layout = COLUMNS
    return request


def read_extras(document: dict[str, Any], wire: WireSignature, request: RowsRequest) -> None:
    """Read what a body has beside its rows.

    A body that names a signature comes from a client of TensorFlow Serving, which expects plain
    arrays.

    Raises:
        InvalidRequest: A parameter is not served here, or the signature is unknown.
    """
    if len(document) == 1:
        return
    read_request_parameters(document, wire, request)
    if check_signature(document):
        request.layout = PLAIN


def check_signature(document: dict[str, Any]) -> bool:
    """Whether a body names a signature.

    Raises:
        InvalidRequest: It is another than the only one.
    """
    name = document.get("signature_name")
    if name is not None and name != SIGNATURE:
        raise InvalidRequest(
            f"'signature_name' is {show(name)}; a model has one signature here, '{SIGNATURE}'"
        )
    return name is not None


def _instances(document: Any) -> list[Any]:
    rows = document.get("instances") if type(document) is dict else None
    if type(rows) is list:
        return rows
    if type(document) is not dict:
        problem = f"the body is {show(document)}"
    elif "instances" not in document:
        problem = "the body has no 'instances'"
    else:
        problem = f"'instances' is {show(rows)}"
    raise InvalidRequest(f"{problem}; expected a list of rows, such as {_EXAMPLE}")
