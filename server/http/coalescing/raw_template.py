"""Templates of bodies with one tensor as raw bytes: msgpack ``bin`` and the binary extension.

A `RawTemplate` holds the meaning of such a body apart from the bytes of its tensor. The proof:

1. A template is learnt from a body P + B + C whose request was answered with 200. B is the tensor.
   The decoder itself reports where B begins and ends (`Codec.locate`). Nothing is searched for.
2. msgpack says the length of a ``bin`` before it comes, and takes that many bytes as they are. The
   binary extension takes as many bytes as the JSON before them says, or all where there is no JSON.
   So the bytes of B decide nothing but the elements of the tensor.
3. The template is found by P, C, the length of B and what the head says of the format (`RawKey`).
   Another body with an equal key is P + D + C where D has the length of B. Its decoder takes every
   step that it took for the first body, and finds D in the place of B.
4. All datatypes with a `struct` code take any bytes. BOOL and BYTES do not, and have no template. A
   list of numbers is no raw tensor, and has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from penstock.server.codecs.messages import InferRequest
from penstock.server.errors import ApiError

from .text_template import MAX_TEMPLATES, coalescible

if TYPE_CHECKING:
    from penstock.runtimes.contract import Array
    from penstock.server.codecs.signature import WireInput, WireSignature
    from penstock.server.inference.head import RequestHead


class RawKey(NamedTuple):
    """All of a body but the bytes of its tensor.

    Attributes:
        codec: Name of the codec.
        json_length: Value of ``Inference-Header-Content-Length``.
        prefix: The bytes before the tensor.
        closing: The bytes behind it.
        length: Length of the tensor in bytes.
    """

    codec: str
    json_length: int | None
    prefix: bytes
    closing: bytes
    length: int


class RawTemplate:
    """The meaning of a request of one row, apart from the bytes of its tensor.

    Attributes:
        key: The key of this template.
        spec: The only input.
        shape: Its dimensions in the request.
        request: The decoded body, without the tensor.
    """

    __slots__ = ("key", "request", "shape", "spec")

    def __init__(self, key: RawKey, spec: WireInput, array: Array, request: InferRequest) -> None:
        self.key = key
        self.spec = spec
        self.shape = array.shape
        self.request = InferRequest(
            [], 1, request.outputs, request.key, binary_outputs=request.binary_outputs
        )

    def read_rows(self, tensors: list[bytes]) -> Array:
        """The tensors of several requests of this template, one row each, as one array.

        Args:
            tensors: Each of `RawKey.length` bytes.
        """
        return np.ndarray((len(tensors), *self.shape[1:]), self.spec.dtype, b"".join(tensors))


def learn(head: RequestHead, body: bytes, wire: WireSignature) -> RawTemplate | None:
    """Learn the template of a body, and keep it for its version.

    Args:
        head: The parsed request head.
        body: A body whose request was answered with 200 by a version with this signature.
        wire: The version's signature.

    Returns:
        ``None`` for a body of another kind.
    """
    if len(wire.inputs) != 1:
        return None
    try:
        spans = head.codec.locate(body, wire, head.json_length)
        request = head.codec.decode(body, wire, head.json_length)
    except ApiError:
        return None
    array = request.inputs[0]
    if len(spans) != 1 or array is None or not coalescible(wire, request) or not _common(request):
        return None
    ((start, end),) = spans
    if body[start:end] != array.tobytes():
        return None
    key = RawKey(head.codec.name, head.json_length, body[:start], body[end:], end - start)
    known: RawTemplate | None = wire.body_templates.get(key)
    if known is not None:
        return known
    if len(wire.body_templates) >= MAX_TEMPLATES:
        wire.body_templates.clear()
    (spec,) = wire.inputs.values()
    template = wire.body_templates[key] = RawTemplate(key, spec, array, request)
    return template


def _common(request: InferRequest) -> bool:
    """Whether the body has no parameters but outputs, all in the same form."""
    unusual = (
        request.id,
        request.timeout_microseconds,
        request.priority,
        request.event_time,
    )
    return unusual == (None,) * 4 and (request.plain or request.plain_binary)
