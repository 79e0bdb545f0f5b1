"""Bodies that differ in the bytes of their one tensor only: binary extension and msgpack.

Both formats say how long a tensor is before it comes, so other bytes of the same number in the same
place leave the rest of the body what it was. Where that place is nobody has to know: it is where
the decoder found the bytes, which is proved by decoding the body once more with others in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from penstock.server.errors import ApiError

from .messages import InferRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.runtimes.contract import Array

    from .negotiate import Codec
    from .signature import WireInput, WireSignature

#: Larger bodies come in several pieces, and cost more to copy than to read.
MAX_BODY_BYTES: Final = 64 * 1024
#: Frames remembered per model version, those that are none included.
MAX_FRAMES: Final = 64

_INVERTED: Final = bytes(range(255, -1, -1))


class RawFrame:
    """All of a request of one row but the bytes of its tensor.

    Attributes:
        prefix: The bytes of the body before them.
        closing: Those behind them.
        spec: The only input.
        shape: Its dimensions in the request.
        request: What the body means, without the tensor.
    """

    __slots__ = ("closing", "prefix", "request", "shape", "spec")

    def __init__(
        self, prefix: bytes, closing: bytes, spec: WireInput, array: Array, request: InferRequest
    ) -> None:
        self.prefix = prefix
        self.closing = closing
        self.spec = spec
        self.shape = array.shape
        self.request = InferRequest(
            [], 1, request.outputs, request.key, binary_outputs=request.binary_outputs
        )

    def read_rows(self, tensors: list[bytes]) -> Array:
        """The tensors of several requests of this frame, one row each, as one array."""
        return np.ndarray((len(tensors), *self.shape[1:]), self.spec.dtype, b"".join(tensors))


def learn(
    codec: Codec, json_length: int | None, body: bytes, wire: WireSignature
) -> RawFrame | None:
    """The frame of a body, if it is of the common kind.

    Args:
        codec: Reads it.
        json_length: Value of ``Inference-Header-Content-Length``.
        body: The body.
        wire: The signature of the model that it is for.
    """
    if len(wire.inputs) != 1 or not wire.batch_axis or len(body) > MAX_BODY_BYTES:
        return None
    (spec,) = wire.inputs.values()
    try:
        request = codec.decode(body, wire, json_length)
        array = request.inputs[0]
        if array is None or not spec.code or not array.size or not _common(request):
            return None
        raw = array.tobytes()
        start = body.rfind(raw)
        prefix, closing = body[:start], body[start + len(raw) :]
        other = raw.translate(_INVERTED)
        again = codec.decode(prefix + other + closing, wire, json_length)
    except ApiError:
        return None
    found = again.inputs[0]
    same = found is not None and found.tobytes() == other and found.shape == array.shape
    if not same or not _common(again) or _rest(again) != _rest(request):
        return None
    return RawFrame(prefix, closing, spec, array, request)


def known(
    codec: Codec,
    json_length: int | None,
    prefix: bytes,
    body: Callable[[], bytes],
    wire: WireSignature,
) -> RawFrame | None:
    """The frame of a body that is known by its prefix; learnt if this version has not seen it.

    Args:
        codec: Reads it.
        json_length: Value of ``Inference-Header-Content-Length``.
        prefix: The bytes before the tensor.
        body: Makes the body, where it has to be learnt.
        wire: The signature of the model that it is for.
    """
    frames = wire.raw_frames
    if prefix not in frames:
        if len(frames) >= MAX_FRAMES:
            frames.clear()
        frame = learn(codec, json_length, body(), wire)
        frames[prefix] = frame if frame is not None and frame.prefix == prefix else None
    known_frame: RawFrame | None = frames[prefix]
    return known_frame


def _common(request: InferRequest) -> bool:
    special = (request.id, request.timeout_microseconds, request.priority)
    return special == (None, None, None) and (request.plain or request.plain_binary)


def _rest(request: InferRequest) -> tuple[object, ...]:
    return request.outputs, request.key, request.binary_outputs
