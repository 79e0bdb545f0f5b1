"""HTTP/1.1 as a load generator needs it: requests made once, responses read with little work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

END_OF_HEAD = b"\r\n\r\n"


class BadResponse(Exception):
    """What came back is not a response that can be delimited."""


@dataclass(frozen=True, slots=True)
class Response:
    """One complete response.

    Attributes:
        status: The three digits.
        headers: Names in lower case; the last of equal names wins.
        body: After any chunked coding was removed.
        keep_alive: Whether the connection may carry another request.
    """

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes
    keep_alive: bool


def build_request(
    host: str,
    path: str,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "POST",
) -> bytes:
    """One whole request, ready for a single send.

    Args:
        host: ``name:port`` for the Host header.
        path: Target, beginning with a slash.
        body: Sent with its content-length.
        headers: Further headers, such as content-type.
        method: The verb.
    """
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode("latin-1") + END_OF_HEAD + body


def parse_response(data: bytes) -> Response | None:
    """Read one response from everything received since the request.

    Returns:
        The response, or ``None`` while it is incomplete.

    Raises:
        BadResponse: Not HTTP/1, or delimited only by the end of the connection.
    """
    head, found, body = data.partition(END_OF_HEAD)
    if not found:
        return None
    status_line, _, rest = head.partition(b"\r\n")
    version, _, status = status_line.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not status[:3].isdigit():
        raise BadResponse(f"expected an HTTP/1.1 status line, got {status_line[:80]!r}")
    headers = _headers(rest)
    keep_alive = version == b"HTTP/1.1" and headers.get(b"connection", b"").lower() != b"close"
    code = int(status[:3])
    if code == 100:  # noqa: PLR2004  Continue: the real answer follows
        return parse_response(body)
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        whole = _dechunk(body)
        return None if whole is None else Response(code, headers, whole, keep_alive)
    length = headers.get(b"content-length")
    if length is None or not length.isdigit():
        raise BadResponse(f"expected a content-length or chunked coding in {head[:200]!r}")
    if len(body) < int(length):
        return None
    if len(body) > int(length):
        raise BadResponse(f"{len(body) - int(length)} bytes after the end of the response")
    return Response(code, headers, body, keep_alive)


def _headers(block: bytes) -> dict[bytes, bytes]:
    pairs = (line.partition(b":") for line in block.split(b"\r\n") if line)
    return {name.lower(): value.strip() for name, _, value in pairs}


def _dechunk(body: bytes) -> bytes | None:
    """The content of a chunked body, or ``None`` before its last chunk."""
    parts: list[bytes] = []
    position = 0
    while (end := body.find(b"\r\n", position)) >= 0:
        digits = body[position:end].partition(b";")[0].strip()
        try:
            size = int(digits, 16)
        except ValueError:
            raise BadResponse(f"expected a chunk size in hex, got {digits[:40]!r}") from None
        start = end + 2
        if size == 0:
            return b"".join(parts) if body.endswith(END_OF_HEAD) else None
        if len(body) < start + size + 2:
            return None
        parts.append(body[start : start + size])
        position = start + size + 2
    return None
