"""Templates of JSON bodies: only the list of numbers of such a body has to be parsed.

Clients write the same JSON around new numbers: ``{"inputs":[{"name":…,"data":`` before the list and
``}]}`` behind it. A `TextTemplate` holds the meaning of such a body apart from its list. A body of
a known template costs two comparisons and the reading of its list. The proof:

1. A template is learnt from a body O + T + C that the full parser and all checks have accepted, and
   whose request was answered with 200. O ends with the key ``"data":``, C is ``}]}`` with white
   space, T is what lies between.
2. The quote that opens the key in O follows ``{``, ``,`` or white space. Inside a string it would
   close that string, and the text behind it would not be JSON. So it opens a string, which is a
   key, because a colon follows.
3. C closes the object that holds the key, a list and the body, and nothing follows. So the key is
   the last of its object, the object is the last of its list, and the list is the last value of the
   body. The body has no key but ``inputs`` and the list has one object: T is the ``data`` of the
   only input, also where a key is written twice, because the last one counts.
4. Another body O + U + C, where U is a JSON list by itself, is valid JSON, because JSON is free of
   context: a value may stand where another stood. It differs from the first body in ``data`` only.
   All other fields were checked. `tensors.from_list` checks U against the shape.
5. If U is no JSON list by itself, or not what the input takes, the full parser reads the body, and
   its answer counts. So every error comes from there.

So O and C are compared byte for byte, and everything between them is parsed. Nothing is searched.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
import orjson

from penstock.server.codecs import json_data, numbers
from penstock.server.codecs.messages import InferRequest
from penstock.server.codecs.request import build
from penstock.server.codecs.tensors import UNPACKABLE, from_list, packer
from penstock.server.errors import ApiError, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Hashable

    from penstock.runtimes.contract import Array
    from penstock.server.codecs.signature import WireInput, WireSignature

KEY: Final = b'"data":'
SPACE: Final = b" \t\r\n"

#: Templates kept per version; requests of other row counts have other templates.
MAX_TEMPLATES: Final = 64
#: A body with a longer opening has no template ...
MAX_OPENING_BYTES: Final = 1024
#: ... nor has one with a longer closing.
MAX_CLOSING_BYTES: Final = 64

#: Lists of so many bytes are read faster by simdjson, where it is installed: a list alone ...
MIN_FAST_LIST: Final = 2048
#: ... and the lists of several requests.
MIN_FAST_BYTES: Final = 1024

_CLOSING: Final = re.compile(rb"[ \t\r\n]*\}[ \t\r\n]*\][ \t\r\n]*\}[ \t\r\n]*\Z")
_BEFORE_KEY: Final = frozenset(b"{," + SPACE)
_FIELDS: Final = {"name", "shape", "datatype", "data"}

#: Stands behind the numbers of each request where several are read together.
_MARK: Final = b",null,"

_loads = orjson.loads


class TextTemplate:
    """All of a JSON request but its list of elements.

    Attributes:
        opening: The bytes of the body up to the key of the list, the key included.
        closing: The bytes behind the list.
        spec: The only input.
        shape: Its dimensions in the request.
        size: Their product.
        rows: As in `InferRequest`.
        key: As in `InferRequest`.
        request: The decoded body of one row, without its numbers.
        coalescible: Whether requests of this template may be read and run together.
    """

    __slots__ = (
        "closing",
        "coalescible",
        "key",
        "opening",
        "request",
        "rows",
        "shape",
        "size",
        "spec",
    )

    def __init__(
        self, opening: bytes, closing: bytes, wire: WireSignature, request: InferRequest
    ) -> None:
        (spec,) = wire.inputs.values()
        array = request.inputs[0]
        assert array is not None
        self.opening = opening
        self.closing = closing
        self.spec: WireInput = spec
        self.shape = list(array.shape)
        self.size = array.size
        self.rows = request.rows
        self.key: Hashable | None = request.key
        self.request = InferRequest([], 1, request.outputs, request.key)
        self.coalescible = coalescible(wire, request)

    def read(self, body: bytes, wire: WireSignature) -> InferRequest | None:
        """The request, or ``None`` if the full parser has to read the body.

        Args:
            body: A body that begins with this template's opening.
            wire: The signature of the version that this template was learnt for.
        """
        if not body.endswith(self.closing):
            return None
        array = self._read_list(body[len(self.opening) : -len(self.closing)])
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
        try:
            return from_list(elements, self.spec, self.shape, self.size)
        except InvalidRequest:
            return None

    def read_rows(self, texts: list[bytes]) -> Array | None:
        """The rows of several requests of this template as one array.

        A text cannot change what another request gets. The proof: the texts are joined with a
        ``null`` behind each, and the whole is parsed as one list. `packer` takes numbers and
        booleans and refuses everything else, so the list is flat, holds no string, and each comma
        of the text ends an element. Each mark stands between two commas, so it is an element by
        itself. All elements that are no mark were packed, so no caller has written a ``null``: the
        ``null`` elements are the marks, in order. They are where they belong only if each text has
        exactly the elements of one row. Then ``[text]`` is by itself a flat list of these numbers,
        and numbers are read the same wherever they stand. `numbers.read_rows` has a proof of its
        own.

        Args:
            texts: The text between the brackets of each.

        Returns:
            One row for each text, or ``None`` if the plain way has to read them one by one.
        """
        rows, size = len(texts), self.size
        shape = rows, *self.shape[1:]
        if numbers.AVAILABLE and rows * len(texts[0]) >= MIN_FAST_BYTES:  # most have one length
            try:
                return numbers.read_rows(texts, self.spec, size).reshape(shape)
            except numbers.UNUSUAL:
                return None
        try:
            elements = _loads(b"[%b%b]" % (_MARK.join(texts), _MARK[:-1]))
            if elements[size :: size + 1] != [None] * rows:
                return None
            del elements[size :: size + 1]
            packed = packer(self.spec.code, size * rows)(*elements)
        except (orjson.JSONDecodeError, *UNPACKABLE):
            return None
        return np.ndarray(shape, self.spec.dtype, packed)


def coalescible(wire: WireSignature, request: InferRequest) -> bool:
    """Whether a request is one row of the only input, and a row of numbers.

    Args:
        wire: The signature of the version that answered it.
        request: The request, with its only input.
    """
    (spec,) = wire.inputs.values()
    array = request.inputs[0]
    assert array is not None
    return wire.batch_axis and spec.batched and bool(spec.code and array.size) and request.rows == 1


def read(body: bytes, wire: WireSignature) -> InferRequest | None:
    """The request of a JSON body with a known template, or ``None``.

    Args:
        body: The body.
        wire: The signature of the version that is to serve it.
    """
    start = body.find(KEY, 0, MAX_OPENING_BYTES) + len(KEY)
    template: TextTemplate | None = wire.body_templates.get(body[:start])
    return None if template is None else template.read(body, wire)


def learn(body: bytes, wire: WireSignature) -> TextTemplate | None:
    """Learn the template of a body, and keep it for its version.

    Args:
        body: A body whose request was answered with 200 by a version with this signature.
        wire: The version's signature.

    Returns:
        ``None`` for a body of another kind.
    """
    start = body.find(KEY, 0, MAX_OPENING_BYTES) + len(KEY)
    if start < len(KEY) or body[start - len(KEY) - 1] not in _BEFORE_KEY or len(wire.inputs) != 1:
        return None
    opening = body[:start]
    if opening in wire.body_templates:
        known: TextTemplate | None = wire.body_templates[opening]
        return known if known is not None and body.endswith(known.closing) else None
    closing = _CLOSING.search(body, max(start, len(body) - MAX_CLOSING_BYTES))
    if closing is None or not _is_list(body[start : closing.start()]):
        return None
    if len(wire.body_templates) >= MAX_TEMPLATES:
        wire.body_templates.clear()
    template = wire.body_templates[opening] = _made(opening, closing.group(), body, wire)
    return template


def _is_list(text: bytes) -> bool:
    try:
        return type(_loads(text)) is list
    except orjson.JSONDecodeError:
        return False


def _made(opening: bytes, closing: bytes, body: bytes, wire: WireSignature) -> TextTemplate | None:
    """The template; ``None`` if no body with this opening has one."""
    try:
        document = _loads(body)
        request = build(document, wire, json_data.read)
    except (orjson.JSONDecodeError, ApiError):
        return None
    entries = document["inputs"]
    if len(document) > 1 or len(entries) != 1 or entries[0].keys() != _FIELDS:
        return None
    return TextTemplate(opening, closing, wire, request)
