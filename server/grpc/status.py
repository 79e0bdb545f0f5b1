"""From the errors of the server to those of gRPC.

The codes are those of Triton (NVIDIA, "Protocols and APIs") where it has such an error, else what
https://grpc.io/docs/guides/status-codes/ says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson
from grpc import StatusCode

if TYPE_CHECKING:
    from penstock.server.codecs.negotiate import Body
    from penstock.server.errors import ApiError

    #: Metadata of an answer: names in lower case, values of ASCII.
    Metadata = tuple[tuple[str, str], ...]

CODES: Final[dict[int, StatusCode]] = {
    400: StatusCode.INVALID_ARGUMENT,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND,
    408: StatusCode.DEADLINE_EXCEEDED,
    409: StatusCode.ABORTED,
    413: StatusCode.RESOURCE_EXHAUSTED,
    415: StatusCode.INVALID_ARGUMENT,
    422: StatusCode.INVALID_ARGUMENT,
    431: StatusCode.RESOURCE_EXHAUSTED,
    499: StatusCode.CANCELLED,
    501: StatusCode.UNIMPLEMENTED,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.DEADLINE_EXCEEDED,
}
#: A client takes 8 KiB of metadata, and a character outside of ASCII takes up to 12 bytes there.
MAX_MESSAGE: Final = 500
#: Tells a client how many milliseconds later it may try again:
#: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
PUSHBACK: Final = "grpc-retry-pushback-ms"
_RETRY_AFTER: Final = "retry-after"
_HTTP_ONLY: Final = ("content-type", "vary")


def code_of(status: int) -> StatusCode:
    """The gRPC code for an HTTP status."""
    return CODES.get(status, StatusCode.INTERNAL)


def metadata_of(lines: bytes) -> Metadata:
    """Header lines of an answer as metadata."""
    pairs = [line.partition(": ") for line in lines.decode("latin-1").split("\r\n")[:-1]]
    found = [(name, value) for name, _, value in pairs if name not in _HTTP_ONLY]
    pushback = [
        (PUSHBACK, f"{value}000") for name, value in found if name == _RETRY_AFTER and value
    ]
    return (*found, *pushback)


def message_of(body: Body) -> str:
    """The message of an error whose answer over HTTP has this body."""
    text = body if isinstance(body, bytes) else b"".join(body)
    return shortened(str(orjson.loads(text)["error"]))


def shortened(message: str) -> str:
    """A message that fits into the metadata of an answer."""
    return message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}…"


def error_metadata(error: ApiError) -> Metadata:
    """The metadata of an error that no inference path has answered."""
    lines = b"".join([b"%b: %b\r\n" % line for line in error.headers])
    return metadata_of(b"x-error-code: %b\r\n%b" % (error.code.encode(), lines))
