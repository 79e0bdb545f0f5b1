"""Texts that everybody can write and read: no lone surrogates, which UTF-8 has not, and no NUL.

JSON admits both, a command line has the first for bytes that are no UTF-8. Borders refuse them with
`find_bad`; what must be told all the same, an alert of a record that is there already, is made
harmless with `clean`.
"""

from __future__ import annotations

import re
from typing import Any, Final

_BAD: Final = re.compile("[\0\ud800-\udfff]")
#: Of what `clean` looks into; deeper content is left out.
_DEPTH: Final = 20


def is_text(value: str) -> bool:
    """True if a text can be written as UTF-8, and read back by everybody."""
    return _BAD.search(value) is None


def find_bad(content: Any, where: str = "") -> str | None:
    """The place of the first such text in decoded JSON; ``None`` if there is none.

    Args:
        content: Nested no deeper than the decoder admits.
        where: Name of the content.
    """
    waiting = [(where, content)]
    while waiting:
        name, one = waiting.pop()
        if isinstance(one, str) and not is_text(one):
            return name or "it"
        if isinstance(one, dict):
            if any(isinstance(key, str) and not is_text(key) for key in one):
                return f"a key of {name}" if name else "a key"
            waiting += (
                (f"{name}.{key}" if name else str(key), inner) for key, inner in one.items()
            )
        elif isinstance(one, list):
            waiting += ((f"{name}[{place}]", inner) for place, inner in enumerate(one))
    return None


def clean(value: str) -> str:
    """A text in which what cannot be written is spelled out in escapes."""
    return _BAD.sub(_spelled, value)


def clean_content(content: Any, depth: int = _DEPTH) -> Any:
    """The same of every text in a value for JSON."""
    if isinstance(content, str):
        return clean(content)
    if not depth and isinstance(content, dict | list | tuple):
        return "…"
    if isinstance(content, dict):
        return {
            clean(key) if isinstance(key, str) else key: clean_content(one, depth - 1)
            for key, one in content.items()
        }
    if isinstance(content, list | tuple):
        return [clean_content(one, depth - 1) for one in content]
    return content


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code else "\\x00"
