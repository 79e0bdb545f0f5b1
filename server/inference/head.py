"""The parsed head of a prediction request.

Clients repeat themselves: the bytes from the request line to the empty line are the same for
thousands of requests. A `RequestHead` is therefore a pure function of those bytes, and the fast
path keeps it under them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from penstock.server.codecs.compression import preferred_encoding
from penstock.server.codecs.negotiate import JSON, SPOKEN
from penstock.server.codecs.protocols import TENSORS, codec_of, usual_codec
from penstock.server.errors import ApiError, InvalidRequest, UnsupportedMediaType
from penstock.server.ports.media_types import BROWSER_HEADERS
from penstock.server.rollout.routing import CANARY, STABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from penstock.server.codecs.negotiate import Codec

#: A request id that is safe to echo and to log.
REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")

#: Digits of a size in bytes; Python refuses to read numbers of more than 4,300.
MAX_DIGITS: Final = 18
#: Longest piece of a header's value shown back in an error.
MAX_SHOWN: Final = 40

#: Longest name of a client that is kept.
MAX_CLIENT_BYTES: Final = 64

TIMEOUT_HEADER: Final = b"x-request-timeout-ms"
PRIORITY_HEADER: Final = b"priority"
#: "Reserved for background tasks" (RFC 9218, section 4.1).
BACKGROUND_URGENCY: Final = 7
#: Forces a request of a split into an arm.
ARM_HEADER: Final = b"x-penstock-arm"
#: What a caller wishes of the treatment of its request.
_WISHES: Final = frozenset((TIMEOUT_HEADER, PRIORITY_HEADER, ARM_HEADER))


class RequestHead:
    """The head of one prediction request.

    Attributes:
        model: Name of the model, percent-decoded.
        version: The version asked for in the path, or ``None`` to let routing choose.
        codec: Codec of the body.
        zero_copy: Whether decoding takes about the same short time for a body of any size.
        content_encoding: ``gzip``, ``deflate`` or ``None``.
        accept_encoding: The encoding for the response, or ``None``.
        json_length: Value of ``Inference-Header-Content-Length``, or ``None``.
        timeout_seconds: The caller's own deadline, or ``None``.
        request_id: The caller's ``x-request-id``, or ``None``.
        arm: The arm of a split that the caller wants, or ``None``.
        background: Whether the request may wait until no other one does.
        lines: All headers, as pairs in the order received or, of a head that is kept, its bytes.
        problem: The error that every request with this head gets.
        keep_alive: Whether the connection stays open after the response.
        content_length: Size of the body in bytes, or ``None`` for a chunked one.
        method: From the request line, like `target` and `http_version`; for the access log.
        target: Path and query, percent-encoded.
        http_version: ``1.1`` or ``1.0``.
    """

    __slots__ = (
        "_client",
        "_traceparent",
        "accept_encoding",
        "arm",
        "background",
        "codec",
        "content_encoding",
        "content_length",
        "http_version",
        "json_length",
        "keep_alive",
        "lines",
        "method",
        "model",
        "problem",
        "request_id",
        "target",
        "timeout_seconds",
        "version",
        "zero_copy",
    )

    def __init__(self, model: str, version: str | None) -> None:
        self.model = model
        self.version = version
        self.codec: Codec = JSON
        self.zero_copy = False
        self.content_encoding: str | None = None
        self.accept_encoding: str | None = None
        self.json_length: int | None = None
        self.timeout_seconds: float | None = None
        self.request_id: bytes | None = None
        self.arm: str | None = None
        self.background = False
        self._traceparent: bytes | None = None
        self._client: tuple[bytes, bytes] = b"", b""
        self.lines: Sequence[tuple[bytes, bytes]] | bytes = ()
        self.problem: ApiError | None = None
        self.keep_alive = True
        self.content_length: int | None = None
        self.method = "POST"
        self.target = ""
        self.http_version = "1.1"

    @property
    def traceparent(self) -> bytes:
        """The header of that name, looked for once; empty if there is none."""
        if self._traceparent is None:
            self._traceparent = self.value(b"traceparent")
        return self._traceparent

    def client(self, name: bytes) -> bytes:
        """The value of the header that names the client, looked for once; `name` in lower case."""
        if self._client[0] != name:
            self._client = name, self.value(name)[:MAX_CLIENT_BYTES]
        return self._client[1]

    def value(self, name: bytes) -> bytes:
        """The first value of any header; empty if there is none.

        Args:
            name: In lower case.
        """
        if isinstance(self.lines, bytes):
            pairs: Iterable[tuple[bytes, bytes]] = (
                (key.lower(), value)
                for key, _, value in (line.partition(b":") for line in self.lines.split(b"\r\n"))
            )
        else:
            pairs = self.lines
        return next((value.strip(b" \t") for key, value in pairs if key == name), b"")


def read_head(
    model: str,
    version: str | None,
    headers: Sequence[tuple[bytes, bytes]],
    protocol: str = TENSORS,
    query: bytes = b"",
) -> RequestHead:
    """Read the headers that matter to a prediction.

    Never raises: an error in the headers becomes `RequestHead.problem`.

    Args:
        model: As in the path.
        version: As in the path.
        headers: Names in lower case, in the order received.
        protocol: As in `Target`.
        query: Query of the URL, percent-encoded; only requests of rows have one that matters.
    """
    head = RequestHead(model, version)
    head.lines = headers
    head.codec = usual_codec(protocol)  # errors in the head have its form, too
    content_type: bytes | None = None
    try:
        for name, value in headers:
            if name == b"content-type":
                content_type = value
            elif name == b"content-encoding":
                head.content_encoding = _content_encoding(value)
            elif name == b"accept-encoding":
                head.accept_encoding = preferred_encoding(value)
            elif name == b"inference-header-content-length":
                head.json_length = _json_length(value, head.json_length)
            elif name == b"x-request-id":
                head.request_id = _request_id(value)
            elif name in _WISHES:
                _read_wish(head, name, value)
        if head.background and head.arm is None:
            head.arm = STABLE  # forced, so no evidence of a rollout, which compares latencies
        _refuse_pages(content_type, headers)
        head.codec, head.json_length = codec_of(protocol, content_type, head.json_length, query)
        head.zero_copy = head.codec is not JSON or head.json_length is not None
    except ApiError as problem:
        head.problem = problem
        head.request_id = given_id(headers)
    return head


def _read_wish(head: RequestHead, name: bytes, value: bytes) -> None:
    if name == TIMEOUT_HEADER:
        head.timeout_seconds = _timeout_seconds(value)
    elif name == ARM_HEADER:
        head.arm = _arm(value)
    else:
        head.background = _urgency(value) == BACKGROUND_URGENCY


def _refuse_pages(content_type: bytes | None, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse a body without a content type that a web page may have sent.

    NVIDIA's client sends none with JSON, so programs may leave it out; browsers say who they are.
    """
    if content_type:
        return
    for name, _ in headers:
        if name in BROWSER_HEADERS:
            raise UnsupportedMediaType(f"content-type is missing, expected {SPOKEN}")


def given_id(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The caller's ``x-request-id`` if it can be echoed, also if other headers have errors.

    Args:
        headers: Names in lower case.
    """
    for name, value in headers:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            return value
    return None


def _content_encoding(value: bytes) -> str | None:
    encoding = value.strip().lower().decode("latin-1")
    if encoding in {"", "identity"}:
        return None
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise UnsupportedMediaType(
            f"content-encoding {encoding[:MAX_SHOWN]!r} is not supported; use gzip, deflate or none"
        )
    return encoding.removeprefix("x-")


def _json_length(value: bytes, earlier: int | None) -> int:
    if earlier is not None:
        raise InvalidRequest("header inference-header-content-length is given twice")
    text = value.strip()
    if not text.isdigit() or len(text) > MAX_DIGITS:
        raise InvalidRequest(
            "header inference-header-content-length must be the number of bytes of the JSON part, "
            f"got {_shown(value)}"
        )
    return int(text)


def _request_id(value: bytes) -> bytes:
    if REQUEST_ID.fullmatch(value) is None:
        raise InvalidRequest("header x-request-id must be 1 to 128 visible ASCII characters")
    return value


def _timeout_seconds(value: bytes) -> float:
    try:
        milliseconds = float(value)
    except ValueError:
        milliseconds = -1.0
    if not 0 < milliseconds < float("inf"):
        raise InvalidRequest(
            f"header {TIMEOUT_HEADER.decode()} must be a positive number of milliseconds, "
            f"got {_shown(value)}"
        )
    return milliseconds / 1000


def _shown(value: bytes) -> str:
    """A header's value as text for an error message, cut to `_SHOWN_BYTES`."""
    return repr(value[:MAX_SHOWN].decode("latin-1")) + ("…" if len(value) > MAX_SHOWN else "")


def _arm(value: bytes) -> str:
    arm = value.decode("latin-1")
    if arm not in {CANARY, STABLE}:
        raise InvalidRequest(
            f"header {ARM_HEADER.decode()} must be {CANARY} or {STABLE}, got {_shown(value)}"
        )
    return arm


def _urgency(value: bytes) -> int | None:
    """The urgency that a header ``priority`` names, from 0 to 7; ``None`` if it names none.

    A value that is none is passed over, as RFC 9218 wants it.
    """
    found = None
    for member in value.split(b","):
        key, _, number = member.partition(b";")[0].strip(b" \t").partition(b"=")
        if key == b"u":
            found = int(number) if len(number) == 1 and number.isdigit() else None
    return found


def expects_continue(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the client waits for ``100 Continue`` before it sends the body."""
    for name, value in headers:
        if name == b"expect":
            return value.lower() == b"100-continue"
    return False
