"""Which codec reads a body, and how it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from penstock.server.errors import UnsupportedMediaType

from . import binary, json, msgpack
from .large_json import LARGE_BYTES
from .msgpack_values import holds_few_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array

    from .messages import InferRequest
    from .signature import WireSignature

#: A body as it goes to the socket: one piece, or several that need no joining.
Body = bytes | list[bytes | memoryview]

SPOKEN: Final = (
    "application/json, application/octet-stream (with Inference-Header-Content-Length) "
    "and application/msgpack"
)

JSON_HEADERS: Final = b"content-type: application/json\r\n"
_BINARY_HEADERS: Final = (
    b"content-type: application/octet-stream\r\ninference-header-content-length: %d\r\n"
)
_MSGPACK_HEADERS: Final = b"content-type: application/msgpack\r\n"
_JSON_TYPES: Final = frozenset({b"", b"application/json", b"application/octet-stream"})
_MSGPACK_TYPES: Final = frozenset(
    {b"application/msgpack", b"application/x-msgpack", b"application/vnd.msgpack"}
)


class Codec(Protocol):
    """One way to write inference requests and responses. Stateless."""

    @property
    def name(self) -> str:
        """The name of the codec in metrics and logs."""
        ...

    def decode(
        self, body: bytes | bytearray | memoryview, wire: WireSignature, json_length: int | None
    ) -> InferRequest:
        """Read a request.

        Args:
            body: Decompressed.
            wire: The model's signature.
            json_length: Value of ``Inference-Header-Content-Length``.

        Raises:
            InvalidRequest: Whatever is wrong with it.
        """
        ...

    def locate(
        self, body: bytes, wire: WireSignature, json_length: int | None
    ) -> list[tuple[int, int]]:
        """Where `decode` finds the tensors of a request that are raw bytes: their first, their end.

        Args:
            body: As for `decode`.
            wire: As for `decode`.
            json_length: As for `decode`.

        Raises:
            InvalidRequest: As from `decode`.
        """
        ...

    def is_quick(self, body: bytes, wire: WireSignature, json_length: int | None) -> bool:
        """Whether a large body takes no time to read: its tensors are used as they are."""
        ...

    def encode(
        self, wire: WireSignature, request: InferRequest, outputs: Sequence[Array]
    ) -> tuple[Body, bytes]:
        """Write a response; see `json.encode` for the arguments.

        Returns:
            The body, and the header lines that describe it, each ended by CRLF.

        Raises:
            InvalidRequest: An output cannot be written the way the client asked for it.
        """
        ...

    def encode_rows(
        self, wire: WireSignature, requests: Sequence[InferRequest], outputs: Sequence[Array]
    ) -> tuple[Sequence[Body], bytes]:
        """Write the responses of a batch of `InferRequest.plain` requests, one row each.

        Raises:
            InvalidRequest: Some output cannot be written; `encode` tells which.
        """
        ...


class JsonCodec:
    """JSON, and the binary extension where a request uses it in either direction."""

    name = "json"

    def decode(
        self, body: bytes | bytearray | memoryview, wire: WireSignature, json_length: int | None
    ) -> InferRequest:
        """See `Codec.decode`."""
        if json_length is None:
            return json.decode(body, wire)
        return binary.decode(body, wire, json_length)

    def is_quick(
        self,
        body: bytes,  # noqa: ARG002  the protocol's
        wire: WireSignature,
        json_length: int | None,
    ) -> bool:
        """See `Codec.is_quick`."""
        return json_length is not None and json_length <= LARGE_BYTES and not wire.takes_texts

    def locate(
        self, body: bytes, wire: WireSignature, json_length: int | None
    ) -> list[tuple[int, int]]:
        """See `Codec.locate`."""
        return [] if json_length is None else binary.locate(body, wire, json_length)

    def encode(
        self, wire: WireSignature, request: InferRequest, outputs: Sequence[Array]
    ) -> tuple[Body, bytes]:
        """See `Codec.encode`."""
        if request.binary_outputs is None:
            return json.encode(wire, request, outputs), JSON_HEADERS
        pieces, length = binary.encode(wire, request, outputs)
        return pieces, _BINARY_HEADERS % length

    def encode_rows(
        self, wire: WireSignature, requests: Sequence[InferRequest], outputs: Sequence[Array]
    ) -> tuple[Sequence[Body], bytes]:
        """See `Codec.encode_rows`."""
        return json.encode_rows(wire, requests, outputs), JSON_HEADERS


class BinaryCodec(JsonCodec):
    """The binary extension, for batches of requests whose every output is raw bytes."""

    def encode_rows(
        self, wire: WireSignature, requests: Sequence[InferRequest], outputs: Sequence[Array]
    ) -> tuple[Sequence[Body], bytes]:
        """See `Codec.encode_rows`."""
        bodies, length = binary.encode_rows(wire, requests, outputs)
        return bodies, _BINARY_HEADERS % length


class MsgpackCodec:
    """msgpack in both directions."""

    name = "msgpack"

    def decode(
        self,
        body: bytes | bytearray | memoryview,
        wire: WireSignature,
        json_length: int | None,  # noqa: ARG002  the protocol's; msgpack has no such header
    ) -> InferRequest:
        """See `Codec.decode`."""
        return msgpack.decode(body, wire)

    def is_quick(
        self,
        body: bytes,
        wire: WireSignature,  # noqa: ARG002  the protocol's
        json_length: int | None,  # noqa: ARG002  the protocol's
    ) -> bool:
        """See `Codec.is_quick`."""
        return holds_few_values(body)

    def locate(
        self,
        body: bytes,
        wire: WireSignature,  # noqa: ARG002  the protocol's
        json_length: int | None,  # noqa: ARG002  the protocol's
    ) -> list[tuple[int, int]]:
        """See `Codec.locate`."""
        return msgpack.locate(body)

    def encode(
        self, wire: WireSignature, request: InferRequest, outputs: Sequence[Array]
    ) -> tuple[Body, bytes]:
        """See `Codec.encode`."""
        return msgpack.encode(wire, request, outputs), _MSGPACK_HEADERS

    def encode_rows(
        self, wire: WireSignature, requests: Sequence[InferRequest], outputs: Sequence[Array]
    ) -> tuple[Sequence[Body], bytes]:
        """See `Codec.encode_rows`."""
        return msgpack.encode_rows(wire, requests, outputs), _MSGPACK_HEADERS


JSON: Final = JsonCodec()
BINARY: Final = BinaryCodec()
MSGPACK: Final = MsgpackCodec()


def rows_codec(codec: Codec, request: InferRequest, wire: WireSignature) -> Codec | None:
    """Whose `Codec.encode_rows` may answer a request together with others of its kind, if any."""
    if request.plain:
        return codec
    return BINARY if codec is JSON and request.plain_binary and wire.numeric else None


def codec_for(content_type: bytes | None, json_length: int | None) -> Codec:
    """The codec for a request's headers.

    Args:
        content_type: Value of ``Content-Type``, or ``None`` without one, which means JSON.
        json_length: Value of ``Inference-Header-Content-Length``, or ``None``.

    Raises:
        UnsupportedMediaType: A type that is not spoken here, or a charset other than UTF-8.
    """
    if content_type is None or content_type == b"application/json":
        return JSON
    media_type, _, parameters = content_type.partition(b";")
    media_type = media_type.strip().lower()
    if media_type in _JSON_TYPES:
        _check_charset(parameters)
        return JSON
    if media_type in _MSGPACK_TYPES:
        if json_length is not None:
            raise UnsupportedMediaType(
                "Inference-Header-Content-Length goes with application/octet-stream, not msgpack"
            )
        return MSGPACK
    hint = ""
    if media_type == b"application/x-www-form-urlencoded":
        hint = "; with curl add -H 'content-type: application/json'"
    shown = media_type[:80].decode("latin-1")
    raise UnsupportedMediaType(f"content-type {shown!r} is not spoken here: send {SPOKEN}{hint}")


def _check_charset(parameters: bytes) -> None:
    for parameter in parameters.lower().split(b";"):
        name, _, value = parameter.partition(b"=")
        charset = value.strip().strip(b'"')
        if name.strip() == b"charset" and charset not in {b"utf-8", b"utf8", b"us-ascii"}:
            shown = charset[:40].decode("latin-1")
            raise UnsupportedMediaType(f"charset {shown!r} is not spoken here: JSON is UTF-8")
