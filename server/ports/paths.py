"""The target of a request: one canonical path, for routing and for authority alike.

Two readers of one path that decode it differently are a hole: what one lets pass, the other serves.
So the path is read here once, and both ports route by, and ask for the token of, what is returned.

RFC 9112, 3.2.2: a server takes a target in absolute form, such as ``GET http://host/v2 HTTP/1.1``,
and the host in it counts, not the ``Host`` header. uvicorn drops the host of a target. The host is
moved into the header before uvicorn reads it, so that all that follows knows one form and one place
of the host.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from penstock.server.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Scope

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_DOTS: Final = frozenset((".", ".."))
_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)(.*)", re.DOTALL)
_OLD: Final = "1.0"
_ONCE: Final = "a path is read once, as it is, so that no two readers take it for different ones"


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


def canonical(path: bytes) -> str:
    """The path that a request means: percent-decoded once, without a slash at its end.

    What several readers might take for different paths is refused: dot segments, empty segments,
    encoded slashes, broken escapes. A second decoding never happens: ``%2566`` is ``%66``.

    Args:
        path: As sent, percent-encoded, without the query.

    Raises:
        InvalidRequest: It has no one meaning; the message says what is wrong with it.
    """
    if b"%" in path:
        if _BAD_ESCAPE.search(path):
            raise InvalidRequest("the path has a % that is not followed by two hexadecimal digits")
        decoded = unquote_to_bytes(path)
        if decoded.count(b"/") != path.count(b"/"):
            raise InvalidRequest(f"the path has an encoded slash (%2F); {_ONCE}")
        path = decoded
    return checked(path.decode("utf-8", "replace"))


def checked(path: str) -> str:
    """The same of a path that was decoded before.

    Raises:
        InvalidRequest: As for `canonical`.
    """
    if not path.startswith("/"):
        raise InvalidRequest("the path must begin with a slash")
    if path == "/":
        return path
    path = path.removesuffix("/")
    segments = path[1:].split("/")
    if "" in segments:
        raise InvalidRequest(f"the path has an empty segment (//); {_ONCE}")
    if not _DOTS.isdisjoint(segments):
        raise InvalidRequest(f"the path has a dot segment (. or ..); {_ONCE}")
    return path


def below(path: str, root: str) -> str:
    """The path without the root that the app is mounted at, where it begins with that.

    Args:
        path: Canonical.
        root: Such as ``/ml``; empty for none.
    """
    if root and path.startswith(root):
        rest = path[len(root) :]
        if not rest:
            return "/"
        if rest[0] == "/":
            return rest
    return path


def sent_path(scope: Scope) -> bytes | None:
    """The path of an ASGI scope as sent, without the query; ``None`` where the server lacks it."""
    raw: bytes | None = scope.get("raw_path")
    return raw.partition(b"?")[0] if raw else None


def path_of(scope: Scope) -> str:
    """The canonical path of a request below the root that the app is mounted at.

    Args:
        scope: As ASGI has it.

    Raises:
        InvalidRequest: As for `canonical`.
    """
    sent = sent_path(scope)
    path = checked(scope["path"]) if sent is None else canonical(sent)
    return below(path, scope.get("root_path", "").rstrip("/"))


def routed_at(scope: Scope, path: str) -> Scope:
    """The scope with this path below its root, which is what Starlette routes by."""
    root = scope.get("root_path", "").rstrip("/")
    return {**scope, "root_path": root, "path": root + path}
