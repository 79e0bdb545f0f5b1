"""Bodies whose frame is known: only their numbers are read.

Clients write the same JSON around ever new numbers: ``{"inputs":[{"name":…,"data":`` before the
list and ``}]}`` behind it. A `Frame` is what such a body means apart from its list. Reading it
again takes two comparisons in place of a decoded document and its validation, a third of the
whole. This is sound:

- A frame is learnt only from a body that was decoded and validated in full, and only if the bytes
  between its two parts are, by themselves, the JSON list that the decoded document holds.
- The key's opening quote follows ``{``, ``,`` or white space, so it is no part of a string.
- Another list in the same place therefore gives a valid document with equal fields. Bytes that
  are no list, and numbers that do not fit, go the ordinary way and earn the ordinary message.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from . import numbers
from .messages import InferRequest
from .tensors import UNPACKABLE, from_list, packer

if TYPE_CHECKING:
    from collections.abc import Hashable

    from penstock.runtimes.contract import Array

    from .signature import WireInput, WireSignature

KEY: Final = b'"data":'

#: Frames remembered per model version; requests of other row counts are other frames.
MAX_FRAMES: Final = 64
#: A longer opening is decoded each time ...
MAX_OPENING_BYTES: Final = 1024
#: ... and so is a body with a longer closing.
MAX_CLOSING_BYTES: Final = 64

#: Lists of so many bytes are read faster by simdjson, where it is installed: a list alone ...
MIN_FAST_LIST: Final = 2048
#: ... and rows together.
MIN_FAST_BYTES: Final = 1024

_CLOSING: Final = re.compile(rb"\s*\}\s*\]\s*\}\s*\Z")
_BEFORE_KEY: Final = frozenset(b"{, \t\r\n")
_FIELDS: Final = {"name", "shape", "datatype", "data"}

#: Behind each row where rows are read together. A row with a number too many moves the next mark,
#: and nobody outside can put one in its place.
_MARK: Final = secrets.randbelow(1 << 52)
_MARKED: Final = b",%d," % _MARK

_loads = orjson.loads


class Frame:
    """All of a request but its list of elements.

    Attributes:
        closing: The bytes behind the list.
        spec: The only input.
        shape: Its dimensions in the request.
        size: Their product.
        rows: As in `InferRequest`.
        key: As in `InferRequest`.
        request: What a body of one row means, without its numbers.
    """

    __slots__ = ("closing", "key", "request", "rows", "shape", "size", "spec")

    def __init__(
        self, closing: bytes, spec: WireInput, shape: list[int], size: int, request: InferRequest
    ) -> None:
        self.closing = closing
        self.spec = spec
        self.shape = shape
        self.size = size
        self.rows = request.rows
        self.key: Hashable | None = request.key
        self.request = InferRequest([], 1, request.outputs, request.key)

    def read(self, body: bytes, start: int, wire: WireSignature) -> InferRequest | None:
        """The request, or ``None`` if the body is not of this frame after all.

        Args:
            body: A body that begins with this frame's opening.
            start: Where its list begins.
            wire: The signature of the model that this frame was learnt for.

        Raises:
            InvalidRequest: Its elements are not what the input takes.
        """
        if not body.endswith(self.closing):
            return None
        array = self._read_list(body[start : -len(self.closing)])
        if array is None:
            return None
        return InferRequest([array], self.rows, wire.all_outputs, self.key)

    def _read_list(self, text: bytes) -> Array | None:
        if numbers.AVAILABLE and len(text) >= MIN_FAST_LIST:
            try:
                return numbers.read(text, self.spec, self.shape, self.size)
            except numbers.UNUSUAL:
                return None
        try:
            elements = _loads(text)
        except orjson.JSONDecodeError:
            return None
        if type(elements) is not list:
            return None
        return from_list(elements, self.spec, self.shape, self.size)

    def read_rows(self, texts: list[bytes]) -> Array | None:
        """The rows of several requests of this frame as one array, or ``None`` if one is odd.

        Args:
            texts: The text between the brackets of each.
        """
        rows, size = len(texts), self.size
        text = b"[%b%b]" % (_MARKED.join(texts), _MARKED[:-1])
        shape = rows, *self.shape[1:]
        if numbers.AVAILABLE and len(text) >= MIN_FAST_BYTES:
            try:
                return numbers.read_rows(text, self.spec, rows, size, _MARK).reshape(shape)
            except numbers.UNUSUAL:
                return None
        try:
            elements = _loads(text)
            if elements[size :: size + 1] != [_MARK] * rows:
                return None
            del elements[size :: size + 1]
            packed = packer(self.spec.code, size * rows)(*elements)
        except (orjson.JSONDecodeError, *UNPACKABLE):
            return None
        return np.ndarray(shape, self.spec.dtype, packed)


def learn(
    body: bytes,
    start: int,
    document: dict[str, Any],
    request: InferRequest,
    wire: WireSignature,
    text: bytes = b"",
) -> None:
    """Remember the frame of a body that was just read, if it is of the common kind.

    Args:
        body: The body.
        start: Behind its first `KEY`.
        document: The body, decoded.
        request: What it meant.
        wire: The model's signature; remembers the frame.
        text: Its only list, if that was cut out before the body was decoded.
    """
    if not body.startswith(KEY, start - len(KEY)) or start > MAX_OPENING_BYTES:
        return
    if len(document) > 1 or len(wire.inputs) != 1:
        return
    entries = document["inputs"]
    closing = _CLOSING.search(body, max(start, len(body) - MAX_CLOSING_BYTES))
    if closing is None or len(entries) != 1 or entries[0].keys() != _FIELDS:
        return
    entry = entries[0]
    if body[start - len(KEY) - 1] not in _BEFORE_KEY:
        return
    between = body[start : closing.start()]
    if not (between.strip() == text if text else _is_list(between, entry["data"])):
        return
    if len(wire.frames) >= MAX_FRAMES:
        wire.frames.clear()
    spec = wire.inputs[entry["name"]]
    array = request.inputs[spec.position]
    assert array is not None
    wire.frames[body[:start]] = Frame(
        closing.group(), spec, list(entry["shape"]), array.size, request
    )


def _is_list(text: bytes, elements: Any) -> bool:
    """Whether the text is, by itself, this list."""
    try:
        return type(elements) is list and bool(_loads(text) == elements)
    except orjson.JSONDecodeError:
        return False
