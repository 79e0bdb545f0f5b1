"""The target of a request in absolute form, such as ``GET http://host/v2 HTTP/1.1``.

RFC 9112, 3.2.2: a server takes this form, and the host in it counts, not the ``Host`` header.
uvicorn drops the host of a target. The host is moved into the header before uvicorn reads it, so
that all that follows knows one form and one place of the host.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)(.*)", re.DOTALL)
_OLD: Final = "1.0"


def origin_form(
    target: bytes, headers: Sequence[tuple[bytes, bytes]], http_version: str
) -> tuple[bytes, list[tuple[bytes, bytes]]] | None:
    """The same request with its host in the header ``host`` only.

    The number of these headers stays as it is, because a request with none or with two is wrong in
    either form. HTTP/1.0 needs none, so there the header is added.

    Args:
        target: As in the request line.
        headers: Names in lower case.
        http_version: Such as ``1.1``.

    Returns:
        Path and query, and the headers; ``None`` if the target is not in absolute form.
    """
    if target.startswith(b"/"):
        return None
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        return None
    authority, rest = match.groups()
    moved = [(name, authority if name == b"host" else value) for name, value in headers]
    if http_version == _OLD and not any(name == b"host" for name, _ in headers):
        moved.append((b"host", authority))
    return rest if rest.startswith(b"/") else b"/" + rest, moved
