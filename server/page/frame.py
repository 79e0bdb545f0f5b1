"""The frame that charts share: size, title, axes with a grid, legend."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .renderer import render
from .scale import Scale, extent, tick_labels, ticks, time_ticks
from .shape import Shape, shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from markupsafe import Markup

WIDTH: Final = 720
#: Width of a chart that stands beside another, in `Section.pair`.
HALF: Final = 350
#: Colours of series by position; the first is the accent.
COLOURS: Final = 6

_LEFT: Final = 56
_RIGHT: Final = 16
_TOP: Final = 30
_BOTTOM: Final = 30
_DIGIT: Final = 6.6  # pixels of a character of a label
_LONG: Final = 28


@dataclass(slots=True)
class Frame:
    """A picture in the making.

    Attributes:
        title: Name of the shown figures; read out and shown above.
        description: The same in a sentence for who cannot see it.
        height: Pixels; the page scales width and height together.
        width: `WIDTH`, or `HALF` for a chart that stands beside another.
        left: Pixels kept for the labels of the vertical axis.
        parts: Drawn shapes, back to front.
        legend: Colour class and name of each series.
    """

    title: str
    description: str = ""
    height: float = 220
    width: float = WIDTH
    left: float = _LEFT
    parts: list[Shape] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)

    @property
    def top(self) -> float:
        """The upper edge of the plot."""
        return _TOP

    @property
    def bottom(self) -> float:
        """The lower edge of the plot."""
        return self.height - _BOTTOM

    @property
    def right(self) -> float:
        """The right edge of the plot."""
        return self.width - _RIGHT

    def values(
        self, figures: Sequence[float | None], *, unit: str = "", zero: bool = False
    ) -> Scale:
        """Draw the vertical axis that these figures need."""
        marks = ticks(*extent(figures, zero=zero), count=4)
        labels = tick_labels(marks, unit)
        self.left = max(self.left, 14 + _DIGIT * max(map(len, labels)))
        scale = Scale(marks[0], marks[-1], self.bottom, self.top)
        for value, label in zip(marks, labels, strict=True):
            y = scale(value)
            self.parts.append(_line(self.left, y, self.right, y, "grid"))
            self.parts.append(_text(self.left - 8, y + 4, label, "tick", "end"))
        return scale

    def times(self, low: float, high: float) -> Scale:
        """Draw the horizontal axis of Unix times."""
        if high <= low:
            low, high = low - 30, low + 30
        self.parts.append(_text(self.left - 8, self.bottom + 17, "UTC", "tick", "end"))
        return self._horizontal(low, high, time_ticks(low, high, self._ticks), "")

    def numbers(self, low: float, high: float, unit: str = "") -> Scale:
        """Draw the horizontal axis of plain figures."""
        low, high = extent((low, high))
        marks = [one for one in ticks(low, high, self._ticks) if low <= one <= high]
        return self._horizontal(low, high, list(zip(marks, tick_labels(marks), strict=True)), unit)

    def draw(self, *parts: Shape) -> None:
        """Lay something over what is there."""
        self.parts.extend(parts)

    def name(self, tone: str, text: str) -> None:
        """Put a series into the legend."""
        self.legend.append((tone, text))

    def render(self, kind: str) -> Markup:
        """The finished picture, with the legend above it."""
        size = self.width, self.height
        return figure(self.title, self.description, size, kind, self.parts, self.legend)

    @property
    def _ticks(self) -> int:
        return 7 if self.width > HALF else 4

    def _horizontal(
        self, low: float, high: float, marks: Iterable[tuple[float, str]], unit: str
    ) -> Scale:
        scale = Scale(low, high, self.left, self.right)
        self.parts.append(_line(self.left, self.bottom, self.right, self.bottom, "axis"))
        end = self.left - 8
        for value, label in marks:
            x = scale(value)
            half = len(label) * _DIGIT / 2
            x_text = min(max(x, self.left + half - 2), self.right + 10 - half)
            self.parts.append(_line(x, self.bottom, x, self.bottom + 4, "axis"))
            if x_text - half > end + 6:  # never one label over the other
                self.parts.append(_text(x_text, self.bottom + 17, label, "tick", "middle"))
                end = x_text + half
        if unit:
            self.parts.append(_text(self.right, self.top - 8, unit, "tick", "end"))
        return scale


def figure(
    title: str,
    description: str,
    size: tuple[float, float],
    kind: str,
    parts: Iterable[Shape],
    legend: Sequence[tuple[str, str]] = (),
) -> Markup:
    """A picture with its caption; `size` is width and height in pixels."""
    return render(
        "chart.html",
        title=title,
        description=description,
        label=f"{title}. {description}".strip(" ."),
        width=f"{size[0]:g}",
        height=f"{size[1]:g}",
        kind=kind,
        shapes=parts,
        legend=legend,
    )


def colour(position: int, tone: str = "") -> str:
    """The class that colours a series."""
    return tone or f"c{position % COLOURS}"


def label(text: str, limit: int = _LONG) -> str:
    """A name that fits beside an axis."""
    return text if len(text) <= limit else f"{text[: limit - 1]}\N{HORIZONTAL ELLIPSIS}"


def text_at(x: float, y: float, text: str, anchor: str = "start", kind: str = "tick") -> Shape:
    """Words in the picture; the whole of what was cut is in the tooltip."""
    shown = label(text)
    return shape(
        "text", text if shown != text else "", words=shown, tone=kind,
        x=float(x), y=float(y), text_anchor=anchor,
    )  # fmt: skip


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Shape:
    return shape("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), tone=kind)


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> Shape:
    return shape("text", words=text, x=float(x), y=float(y), tone=kind, text_anchor=anchor)
