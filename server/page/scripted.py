"""A page with a script: its policy lets exactly the script and the style in the page work."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from .renderer import render

if TYPE_CHECKING:
    from collections.abc import Mapping

_NONE: Final = "'none'"
_SELF: Final = "'self'"
_PARTS: Final = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ScriptedPage:
    """A page and the headers that it is sent with."""

    html: str
    headers: Mapping[str, str]


@cache
def scripted_page(template: str) -> ScriptedPage:
    """A page of the server; rendered once, and slow the first time: not for an event loop.

    Args:
        template: Name of its file, which inserts no value.
    """
    html = str(render(template))
    return ScriptedPage(html, page_headers(html))


def page_headers(html: str, *, forms: bool = False) -> dict[str, str]:
    """Headers for a page of our own that asks its own server and nobody else.

    A text from a model file that found its way into the document as markup could not run: only the
    parts of this very text may, by their hashes.

    Args:
        html: The page; its elements ``script`` and ``style`` have no attributes.
        forms: Whether its forms may be sent to its own server.
    """
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, content in _PARTS.findall(html):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    policy = (
        f"default-src 'none'; script-src {' '.join(hashes['script']) or _NONE}; "
        f"style-src {' '.join(hashes['style']) or _NONE}; connect-src {_SELF}; img-src data:; "
        f"base-uri 'none'; form-action {_SELF if forms else _NONE}; frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }
