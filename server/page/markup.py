"""Pieces of markup within a line, and what is taken out of text before it is shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from markupsafe import Markup

#: Characters that neither HTML nor XML allows.
_INVALID: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
#: Halves of surrogate pairs, which have no UTF-8; and controls that reorder the text after them.
_UNFIT: Final = re.compile("[\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def printable(text: str) -> str:
    """Text without what breaks a document, its encoding, or the order of the words around it."""
    return _UNFIT.sub(_REPLACEMENT, _INVALID.sub("", text))


def badge(text: str, tone: str = "") -> Markup:
    """A word in a coloured box.

    Args:
        text: One or two words.
        tone: ``good``, ``warning``, ``bad`` or nothing.
    """
    return _inline('<span class="{1}">{0}</span>', text, f"badge {tone}".strip())


def link(text: str, href: str) -> Markup:
    """A link.

    Args:
        text: Its words.
        href: A path of this server, percent-encoded; never an address from outside.
    """
    return _inline('<a href="{1}">{0}</a>', text, href)


def note(text: str) -> Markup:
    """Small words below the others of a cell."""
    return _inline("<small>{0}</small>", text)


def joined(*pieces: str) -> Markup:
    """Pieces of text and markup in one cell, with a space between them."""
    from markupsafe import Markup  # by the first page only

    return Markup(" ").join(one if isinstance(one, Markup) else printable(one) for one in pieces)


def side_by_side(*charts: Markup) -> Markup:
    """Charts in one row where there is room."""
    from markupsafe import Markup  # by the first page only

    return _inline('<div class="pair">{0}</div>', Markup().join(charts))


def _inline(form: str, *values: str) -> Markup:
    """A literal of this module with its values escaped."""
    from markupsafe import Markup  # by the first page only

    shown = [one if isinstance(one, Markup) else printable(one) for one in values]
    return Markup(form).format(*shown)  # noqa: S704 - a literal above
