"""From the metadata of a call to the head of a prediction request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError

from penstock.server.codecs.grpc import GRPC
from penstock.server.errors import InvalidRequest
from penstock.server.inference.head import RequestHead, read_head
from penstock.server.oip.schema import GLANCE, INFER, SERVICE, STREAM

if TYPE_CHECKING:
    from collections.abc import Iterable

    Lines = tuple[tuple[bytes, bytes], ...]

#: The paths of the methods, for the access log and for traces.
INFER_TARGET: Final = f"/{SERVICE}/{INFER}"
STREAM_TARGET: Final = f"/{SERVICE}/{STREAM}"
#: Of a header that means the same here; the others belong to HTTP or to gRPC.
_OWN: Final = b"x-"


def lines_of(metadata: Iterable[tuple[str, str | bytes]]) -> Lines:
    """Metadata of a call as header lines."""
    return tuple(
        (name.encode(), value.encode() if isinstance(value, str) else value)
        for name, value in metadata
    )


def head_of(body: bytes, lines: Lines, target: str, seconds_left: float | None) -> RequestHead:
    """The head of a ``ModelInferRequest``. Never raises: an error becomes `RequestHead.problem`.

    Args:
        body: The request.
        lines: Metadata of the call.
        target: Path of the method.
        seconds_left: Until the deadline of the call; ``None`` without one.
    """
    problem = None
    model, version = "", None
    try:
        glance = GLANCE.FromString(body)
        model, version = glance.model_name, glance.model_version or None
    except DecodeError:
        problem = InvalidRequest("the message is not a ModelInferRequest")
    own = [(name, value) for name, value in lines if name.startswith(_OWN)]
    head = read_head(model, version, own) if own else RequestHead(model, version)
    head.codec = GRPC
    head.zero_copy = True
    head.lines = lines
    head.target, head.http_version = target, "2"
    head.problem = problem or head.problem
    if seconds_left is not None:
        given = head.timeout_seconds
        head.timeout_seconds = seconds_left if given is None else min(given, seconds_left)
    return head
