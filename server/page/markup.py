"""HTML and SVG as text that cannot be broken by what is in it: all is escaped unless made here."""

from __future__ import annotations

from html import escape
from typing import Final

#: Elements that have no end tag in HTML.
_VOID: Final = frozenset({"br", "hr", "link", "meta"})
_SCHEMES: Final = ("http://", "https://", "mailto:", "/", "./", "#")


class Html(str):
    """Text that is markup already and may stand in a page as it is."""

    __slots__ = ()


def element(name: str, /, *children: str | None, **attributes: str | float | None) -> Html:
    """An element with what is in it.

    Args:
        name: ``td``, ``path``, …
        children: Text, which is escaped, or `Html`; ``None`` is left out.
        attributes: ``class_`` for ``class``, ``stroke_width`` for ``stroke-width``; numbers are
            rounded to a hundredth, ``None`` is left out, an empty text is a flag.
    """
    opening = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + (f'="{_value(value)}"' if value != "" else "")
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{opening}>")
    return Html(f"<{name}{opening}>{join(*children)}</{name}>")


def join(*children: str | None) -> Html:
    """Several pieces, one after the other; what is not `Html` is escaped."""
    return Html(
        "".join(
            one if isinstance(one, Html) else escape(_printable(one))
            for one in children
            if one is not None
        )
    )


def link(text: str, address: str) -> Html:
    """A link, or the mere text when the address is none that a page should lead to."""
    if not address.startswith(_SCHEMES):
        return join(text)
    return element("a", text, href=address)


def badge(text: str, tone: str = "") -> Html:
    """A word in a coloured box.

    Args:
        text: One or two words.
        tone: ``good``, ``warning``, ``bad`` or nothing.
    """
    return element("span", text, class_=f"badge {tone}".strip())


def code(text: str) -> Html:
    """Text as it is typed: a command, an identifier."""
    return element("code", text)


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return escape(_printable(value))
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _printable(text: str) -> str:
    """Without the characters that neither HTML nor XML allows."""
    return "".join(one for one in text if one >= " " or one in "\t\n\r")
