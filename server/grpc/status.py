"""From the errors of the server to those of gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson
from grpc import StatusCode

from penstock.server.oip.status_codes import grpc_code_of

if TYPE_CHECKING:
    from penstock.server.codecs.negotiate import Body
    from penstock.server.errors import ApiError

    #: Metadata of an answer: names in lower case, values of ASCII.
    Metadata = tuple[tuple[str, str], ...]

_BY_NUMBER: Final = {code.value[0]: code for code in StatusCode}
#: A client takes 8 KiB of metadata, and a character outside of ASCII takes up to 12 bytes there.
MAX_MESSAGE: Final = 500
#: Tells a client how many milliseconds later it may try again:
#: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
PUSHBACK: Final = "grpc-retry-pushback-ms"
_RETRY_AFTER: Final = "retry-after"
_HTTP_ONLY: Final = ("content-type", "vary")


def code_of(status: int) -> StatusCode:
    """The gRPC code for an HTTP status."""
    return _BY_NUMBER[grpc_code_of(status)]


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
