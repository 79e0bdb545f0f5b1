"""The binary extension where a cloud lets no header of its own through.

SageMaker and Vertex AI say in the content type where the JSON of a body ends:
``application/vnd.sagemaker-triton.binary+json;json-header-size=123``. Source: "SageMaker" and
"Vertex AI" in the documentation of the Triton Inference Server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.server.errors import InvalidRequest

from . import binary
from .messages import TENSORS, RowsRequest
from .negotiate import JSON, JsonCodec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array

    from .messages import InferRequest
    from .negotiate import Body
    from .signature import WireSignature

#: Digits of a size; Python refuses to read numbers of more than 4,300.
_MAX_DIGITS: Final = 18


class SizedJsonCodec(JsonCodec):
    """JSON, and tensors behind it, with the size of the JSON in the content type.

    Args:
        media_type: The content type without its parameter.
    """

    def __init__(self, media_type: bytes) -> None:
        self._headers = b"content-type: %b;json-header-size=%%d\r\n" % media_type

    def decode(
        self, body: bytes | bytearray | memoryview, wire: WireSignature, json_length: int | None
    ) -> InferRequest:
        """See `Codec.decode`; the answer of such a request is encoded alone."""
        return RowsRequest.of(super().decode(body, wire, json_length), TENSORS)

    def locate(
        self,
        body: bytes,  # noqa: ARG002  the protocol's
        wire: WireSignature,  # noqa: ARG002  the protocol's
        json_length: int | None,  # noqa: ARG002  the protocol's
    ) -> list[tuple[int, int]]:
        """See `Codec.locate`: nothing is learnt of such bodies."""
        return []

    def encode(
        self, wire: WireSignature, request: InferRequest, outputs: Sequence[Array]
    ) -> tuple[Body, bytes]:
        """See `Codec.encode`."""
        if request.binary_outputs is None:
            return JSON.encode(wire, request, outputs)
        pieces, length = binary.encode(wire, request, outputs)
        return pieces, self._headers % length


SIZED: Final = {
    media_type: SizedJsonCodec(media_type)
    for media_type in (
        b"application/vnd.sagemaker-triton.binary+json",
        b"application/vnd.vertex-ai-triton.binary+json",
    )
}


def header_size(content_type: bytes) -> int | None:
    """The size of the JSON in bytes; ``None`` for every other content type.

    Raises:
        InvalidRequest: The content type does not say it.
    """
    media_type, _, parameters = content_type.partition(b";")
    if media_type.strip().lower() not in SIZED:
        return None
    for parameter in parameters.split(b";"):
        name, _, value = parameter.partition(b"=")
        text = value.strip()
        known = name.strip().lower() == b"json-header-size"
        if known and text.isdigit() and len(text) <= _MAX_DIGITS:
            return int(text)
    raise InvalidRequest(
        "the content type has no json-header-size=N; expected the number of bytes of the JSON part"
    )
