"""The shapes a picture consists of: numbers and words, which a template turns into SVG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .markup import printable

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Shape:
    """One element of a picture.

    Attributes:
        name: Name of the SVG element: ``line``, ``rect``, ``circle``, ``path`` or ``text``.
        attributes: Name in SVG -> value.
        tip: Shown under the pointer.
        words: The content of a ``text``.
    """

    name: str
    attributes: Mapping[str, str]
    tip: str = ""
    words: str = ""


def shape(
    name: str, /, tip: str = "", *, words: str = "", tone: str = "", **places: str | float
) -> Shape:
    """A shape.

    Args:
        name: Name of the SVG element.
        tip: Shown under the pointer.
        words: The content of a ``text``.
        tone: Its classes, which the style sheet colours.
        places: Coordinates, sizes and paths, in pixels; rounded to a hundredth. ``text_anchor`` is
            the attribute ``text-anchor``.
    """
    attributes = {key.replace("_", "-"): _written(value) for key, value in places.items()}
    if tone:
        attributes["class"] = printable(tone)
    return Shape(name, attributes, tip, words)


def _written(value: str | float) -> str:
    if isinstance(value, str):
        return printable(value)
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
