"""One canonical path of a request, for routing and for authority alike.

Two readers of one path that decode it differently are a hole: what one lets pass, the other serves.
So the path is read here once, and both ports route by, and ask for the token of, what is returned.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from penstock.server.errors import InvalidRequest

if TYPE_CHECKING:
    from starlette.types import Scope

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_DOTS: Final = frozenset((".", ".."))
_ONCE: Final = "a path is read once, as it is, so that no two readers take it for different ones"


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


def path_of(scope: Scope, root: str = "") -> str:
    """The canonical path of a request below the app's root.

    Args:
        scope: As ASGI has it.
        root: A root that a proxy in front may have left in the path.

    Raises:
        InvalidRequest: As for `canonical`.
    """
    sent = sent_path(scope)
    path = checked(scope["path"]) if sent is None else canonical(sent)
    return below(below(path, scope.get("root_path", "").rstrip("/")), root)


def routed_at(scope: Scope, path: str) -> Scope:
    """The scope with this path below its root, which is what Starlette routes by."""
    root = scope.get("root_path", "").rstrip("/")
    return {**scope, "root_path": root, "path": root + path}
