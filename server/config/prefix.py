"""The prefix of all paths as clients see them: behind a proxy, or mounted in another app."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

FORWARDED_PREFIX: Final = b"x-forwarded-prefix"
_MAX_BYTES: Final = 256
#: No empty segment: ``//host`` would lead to another host.
_PREFIX: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[\w.~-]+)*/?", re.ASCII)


def is_prefix(text: str) -> bool:
    """Whether a text is segments of letters, digits and ``. _ ~ -``, each after a slash."""
    return len(text) <= _MAX_BYTES and _PREFIX.fullmatch(text) is not None


def public_prefix(headers: Iterable[tuple[bytes, bytes]], mounted: str, configured: str) -> str:
    """What stands before each path for the client; empty, or ``/`` and segments.

    The header of the proxy comes before the configuration. A header that is no prefix is passed
    over: it comes from the caller, and only the caller's own answer depends on it.

    Args:
        headers: Headers of the request, names in lower case.
        mounted: ``root_path`` of the ASGI scope.
        configured: The option ``root_path``.
    """
    outer = configured
    for name, value in headers:
        if name == FORWARDED_PREFIX:
            given = value.decode("latin-1").partition(",")[0].strip()
            if is_prefix(given):
                outer = given
            break
    outer, mounted = outer.rstrip("/"), mounted.rstrip("/")
    if not is_prefix(mounted):
        mounted = ""
    return mounted if f"{mounted}/".startswith(f"{outer}/") else outer + mounted
