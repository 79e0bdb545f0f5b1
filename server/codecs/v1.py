"""``POST /v1/models/{model}:predict``: rows and predictions, as TensorFlow Serving and KServe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from penstock.server.errors import InvalidRequest, UnsupportedMediaType

from . import predictions, rows
from .negotiate import JSON, JSON_HEADERS, codec_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array

    from .messages import InferRequest
    from .negotiate import Body, Codec
    from .signature import WireSignature


class RowsCodec:
    """Rows in, one prediction for each row out; a `penstock.server.codecs.negotiate.Codec`.

    Args:
        name: For metrics and logs.
        named: Whether labels and probabilities are told by the names of their classes, and each
            prediction is an object of the outputs.
    """

    def __init__(self, name: str, *, named: bool) -> None:
        self.name = name
        self._named = named

    def decode(
        self,
        body: bytes | bytearray | memoryview,
        wire: WireSignature,
        json_length: int | None,  # noqa: ARG002  the protocol's; rows have no such header
    ) -> InferRequest:
        """See `Codec.decode`."""
        return rows.decode(body, wire)

    def is_quick(
        self,
        body: bytes,  # noqa: ARG002  the protocol's
        wire: WireSignature,  # noqa: ARG002  the protocol's
        json_length: int | None,  # noqa: ARG002  the protocol's
    ) -> bool:
        """See `Codec.is_quick`."""
        return False

    def locate(
        self,
        body: bytes,  # noqa: ARG002  the protocol's
        wire: WireSignature,  # noqa: ARG002  the protocol's
        json_length: int | None,  # noqa: ARG002  the protocol's
    ) -> list[tuple[int, int]]:
        """See `Codec.locate`: no tensor is raw bytes."""
        return []

    def encode(
        self, wire: WireSignature, request: InferRequest, outputs: Sequence[Array]
    ) -> tuple[Body, bytes]:
        """See `Codec.encode`."""
        return predictions.encode(wire, request, outputs, named=self._named), JSON_HEADERS

    def encode_rows(
        self, wire: WireSignature, requests: Sequence[InferRequest], outputs: Sequence[Array]
    ) -> tuple[Sequence[Body], bytes]:
        """See `Codec.encode_rows`."""
        texts = predictions.row_texts(wire, requests[0], outputs, named=self._named)
        return [b'{"predictions":[%b]}' % text for text in texts], JSON_HEADERS


ROWS: Final = RowsCodec("rows", named=True)
#: Rows as above, with answers as plain arrays in place of named values.
ROWS_PLAIN: Final = RowsCodec("rows", named=False)


def codec_of(content_type: bytes | None, json_length: int | None, query: bytes | None) -> Codec:
    """The codec for a request of tensors or of rows.

    Args:
        content_type: Value of ``Content-Type``, or ``None`` without one, which means JSON.
        json_length: Value of ``Inference-Header-Content-Length``, or ``None``.
        query: Query of the URL of a request of rows; ``format=tensors`` asks for plain arrays.
            ``None`` for a request of tensors.

    Raises:
        UnsupportedMediaType: The content type is not spoken here, or rows are not sent as JSON.
        InvalidRequest: A part of rows is said to be binary, or another format is asked for.
    """
    codec = codec_for(content_type, json_length)
    if query is None:
        return codec
    if codec is not JSON:
        raise UnsupportedMediaType("rows are sent as application/json")
    if json_length is not None:
        raise InvalidRequest("rows have no binary part: leave out inference-header-content-length")
    wanted = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("format", ["rows"])
    if wanted == ["tensors"]:
        return ROWS_PLAIN
    if wanted != ["rows"]:
        raise InvalidRequest(f"format={wanted[-1][:40]} is unknown; expected rows or tensors")
    return ROWS
