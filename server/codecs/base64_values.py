"""Bytes in JSON as TensorFlow Serving writes them: ``{"b64": "aGVsbG8="}``.

Source: "Encoding binary values" in TensorFlow Serving's description of its REST API.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error
from typing import Any, Final

from penstock.server.errors import InvalidRequest

from .tensors import show

KEY: Final = "b64"
#: Marks bodies that may hold such a value.
MARK: Final = b'"b64"'
#: Outputs whose names end so are written in this way.
SUFFIX: Final = "_bytes"

#: Levels of lists and objects in which such a value is looked for.
_MAX_DEPTH: Final = 32


def with_bytes(value: Any, depth: int = 0) -> Any:
    """A decoded value with ``bytes`` in place of each object whose only key is ``b64``.

    Args:
        value: Lists, objects and scalars, as a decoder of JSON makes them.
        depth: Levels above it.

    Raises:
        InvalidRequest: The text of such an object is no base64, or the value is nested too deep.
    """
    if depth > _MAX_DEPTH:
        raise InvalidRequest(f"the body is nested more than {_MAX_DEPTH} deep")
    if type(value) is list:
        return [with_bytes(one, depth + 1) for one in value]
    if type(value) is not dict:
        return value
    if value.keys() != {KEY}:
        return {name: with_bytes(one, depth + 1) for name, one in value.items()}
    text = value[KEY]
    try:
        return b64decode(text, validate=True)
    except (TypeError, ValueError, Error):
        raise InvalidRequest(f'{{"b64": {show(text)}}} does not hold base64') from None


def json_of(element: bytes | str) -> bytes:
    """The JSON of an element of an output that is written in this way."""
    raw = element.encode() if isinstance(element, str) else element
    return b'{"b64":"%b"}' % b64encode(raw)
