"""The codec of gRPC; apart from the others, because it needs the extra ``grpc``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import protobuf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array

    from .messages import InferRequest
    from .negotiate import Body
    from .signature import WireSignature


class GrpcCodec:
    """``ModelInfer`` of the Open Inference Protocol; a `penstock.server.codecs.negotiate.Codec`."""

    name = "grpc"

    def decode(
        self,
        body: bytes | bytearray | memoryview,
        wire: WireSignature,
        json_length: int | None,  # noqa: ARG002  the protocol's; gRPC has no such header
    ) -> InferRequest:
        """See `Codec.decode`."""
        return protobuf.decode(body, wire)

    def is_quick(
        self,
        body: bytes,
        wire: WireSignature,
        json_length: int | None,  # noqa: ARG002  the protocol's
    ) -> bool:
        """See `Codec.is_quick`."""
        return protobuf.is_quick(body, wire)

    def locate(
        self,
        body: bytes,  # noqa: ARG002  the protocol's
        wire: WireSignature,  # noqa: ARG002  the protocol's
        json_length: int | None,  # noqa: ARG002  the protocol's
    ) -> list[tuple[int, int]]:
        """See `Codec.locate`: nothing is learnt of such requests."""
        return []

    def encode(
        self, wire: WireSignature, request: InferRequest, outputs: Sequence[Array]
    ) -> tuple[Body, bytes]:
        """See `Codec.encode`."""
        return protobuf.encode(wire, request, outputs), b""

    def encode_rows(
        self, wire: WireSignature, requests: Sequence[InferRequest], outputs: Sequence[Array]
    ) -> tuple[Sequence[Body], bytes]:
        """See `Codec.encode_rows`."""
        return protobuf.encode_rows(wire, requests, outputs), b""


GRPC: Final = GrpcCodec()
