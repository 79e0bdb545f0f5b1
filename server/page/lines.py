"""Lines over time or over figures: with bands, steps, thresholds and marks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

from .frame import WIDTH, Frame, colour, label, text_at
from .scale import Scale, finite, moment, number, thin
from .shape import Shape, shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

#: Points of a series that are drawn; more are thinned, peaks stay.
MAX_POINTS: Final = 400
MAX_SERIES: Final = 12
MAX_MARKS: Final = 40
#: With no more points than this each one tells its figures under the pointer.
_TIPS: Final = 120
#: Width of a letter.
_LETTER: Final = 6.6


@dataclass(frozen=True, slots=True)
class Series:
    """One line.

    Attributes:
        name: In the legend.
        x: Unix seconds, or figures when the chart is not over time; ascending.
        y: As many figures; ``None`` and not-a-number break the line.
        low: Lower edge of a band around it, as many figures.
        high: Upper edge.
        step: Whether each figure holds until the next, as a share of traffic does.
        tone: ``good``, ``warning``, ``bad``, ``muted``, or a colour of its own.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None
    step: bool = False
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A level that matters, drawn as a dashed line.

    Attributes:
        value: On the vertical axis.
        label: Short words beside it.
        tone: ``warning`` or ``bad``, say.
    """

    value: float
    label: str = ""
    tone: str = "warning"


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment that matters, a promotion for example, drawn as an upright line.

    Attributes:
        x: On the horizontal axis.
        label: Short words beside it.
        tone: ``good``, ``warning``, ``bad`` or nothing.
    """

    x: float
    label: str = ""
    tone: str = "muted"


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    thresholds: Sequence[Threshold] = (),
    marks: Sequence[Mark] = (),
    unit: str = "",
    time: bool = True,
    x_unit: str = "",
    zero: bool = False,
    description: str = "",
    height: float = 220,
    width: float = WIDTH,
) -> Markup:
    """Lines, the first in the accent colour.

    Args:
        title: Name of the shown figures.
        series: Up to `MAX_SERIES`; further ones are left out, and the title says so.
        thresholds: Levels; the axis always reaches them.
        marks: Moments within the time shown.
        unit: Unit of the vertical axis: ``%``, ``ms``.
        time: Whether `x` is Unix seconds, shown in UTC.
        x_unit: Of the horizontal axis when it is not time.
        zero: Whether the vertical axis starts at zero.
        description: The same in a sentence; made from the figures by default.
        height: Pixels.
        width: `WIDTH`, or `HALF` for one of a pair.
    """
    if len(series) > MAX_SERIES:
        title = f"{title} (the first {MAX_SERIES} of {len(series)})"
        series = series[:MAX_SERIES]
    shown = [_thinned(one) for one in series]
    frame = Frame(title, description or _sentence(series, unit), height, width)
    figures = list(
        chain.from_iterable((*one.y, *(one.low or ()), *(one.high or ())) for one in shown)
    )
    levels = [one for one in thresholds if finite(one.value)]
    up = frame.values([*figures, *(one.value for one in levels)], unit=unit, zero=zero)
    places = [x for one in shown for x in one.x if finite(x)]
    axis = frame.times if time else lambda low, high: frame.numbers(low, high, x_unit)
    if not any(map(finite, figures)):
        frame.draw(text_at((frame.left + frame.right) / 2, height / 2, "no data yet", "middle"))
        return frame.render("lines")
    across = axis(min(places), max(places))
    for position, one in enumerate(shown):
        tone = colour(position, one.tone)
        frame.name(tone, one.name)
        frame.draw(*_band(one, tone, across, up), *_line(one, tone, across, up))
    for level in levels:
        frame.draw(*_level(level, frame, up))
    taken: list[tuple[float, float]] = []
    for mark in [one for one in marks if across.low <= one.x <= across.high][:MAX_MARKS]:
        frame.draw(*_upright(mark, frame, across, taken))
    for position, one in enumerate(shown):
        if len(one.x) <= _TIPS:
            frame.draw(*_tips(one, colour(position, one.tone), across, up, unit, time=time))
    return frame.render("lines")


def _thinned(series: Series) -> Series:
    length = min(len(series.x), len(series.y))
    kept = thin(series.y[:length], MAX_POINTS)
    low, high = series.low, series.high
    return Series(
        series.name,
        [series.x[index] for index in kept],
        [series.y[index] for index in kept],
        [low[index] for index in kept] if low is not None else None,
        [high[index] for index in kept] if high is not None else None,
        series.step,
        series.tone,
    )


def _runs(series: Series) -> list[list[int]]:
    """Positions of points that hang together."""
    runs: list[list[int]] = [[]]
    for index, value in enumerate(series.y):
        if finite(value):
            runs[-1].append(index)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _path(
    points: Sequence[tuple[float, float | None]], across: Scale, up: Scale, *, step: bool
) -> str:
    pieces: list[str] = []
    for x, y in points:
        place = f"{across(x):.1f} {up(y or 0.0):.1f}"
        if not pieces:
            pieces.append(f"M{place}")
        elif step:
            pieces.append(f"H{across(x):.1f}V{up(y or 0.0):.1f}")
        else:
            pieces.append(f"L{place}")
    return "".join(pieces)


def _line(series: Series, tone: str, across: Scale, up: Scale) -> list[Shape]:
    drawn = []
    for run in _runs(series):
        points = [(series.x[index], series.y[index]) for index in run]
        if len(points) == 1:
            x, y = points[0]
            drawn.append(shape("circle", cx=across(x), cy=up(y or 0.0), r=3, tone=f"dot {tone}"))
        else:
            path = _path(points, across, up, step=series.step)
            drawn.append(shape("path", d=path, tone=f"line {tone}"))
    return drawn


def _band(series: Series, tone: str, across: Scale, up: Scale) -> list[Shape]:
    low, high = series.low, series.high
    if low is None or high is None:
        return []
    drawn = []
    for run in _runs(series):
        known = [index for index in run if finite(low[index]) and finite(high[index])]
        if len(known) > 1:
            there = _path([(series.x[i], high[i]) for i in known], across, up, step=False)
            back = _path([(series.x[i], low[i]) for i in reversed(known)], across, up, step=False)
            drawn.append(shape("path", d=f"{there}L{back[1:]}Z", tone=f"band {tone}"))
    return drawn


def _tips(
    series: Series, tone: str, across: Scale, up: Scale, unit: str, *, time: bool
) -> list[Shape]:
    drawn = []
    for index, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
        if y is None or not finite(y):
            continue
        words = f"{series.name}: {number(y, unit)}"
        if series.low is not None and series.high is not None:
            words += f" ({number(series.low[index])} to {number(series.high[index], unit)})"
        tip = f"{words}\n{moment(x) if time else number(x)}"
        drawn.append(shape("circle", tip, cx=across(x), cy=up(y), r=5, tone=f"tip {tone}"))
    return drawn


def _level(level: Threshold, frame: Frame, up: Scale) -> list[Shape]:
    y = up(level.value)
    line = shape("line", x1=frame.left, y1=y, x2=frame.right, y2=y, tone=f"level {level.tone}")
    return [line, text_at(frame.right - 4, y - 5, level.label, "end", f"note {level.tone}")]


def _upright(
    mark: Mark, frame: Frame, across: Scale, taken: list[tuple[float, float]]
) -> list[Shape]:
    """A mark; its words stand beside it where there is room, else under the pointer only."""
    x = across(mark.x)
    tip = f"{mark.label}\n{moment(mark.x)}"
    line = shape("line", tip, x1=x, y1=frame.top, x2=x, y2=frame.bottom, tone=f"level {mark.tone}")
    end = x > (frame.left + frame.right) / 2
    width = _LETTER * len(label(mark.label)) + 8
    place = (x - width, x) if end else (x, x + width)
    if any(low < place[1] and place[0] < high for low, high in taken):
        return [line]
    taken.append(place)
    words = text_at(
        x - 4 if end else x + 4, frame.top + 10, mark.label, "end" if end else "start", "note"
    )
    return [line, words]


def _sentence(series: Sequence[Series], unit: str) -> str:
    said = []
    for one in series:
        known = [y for y in one.y if y is not None and finite(y)]
        if known:
            lowest, highest = number(min(known), unit), number(max(known), unit)
            said.append(f"{one.name}: {lowest} to {highest}, last {number(known[-1], unit)}")
    return "; ".join(said) or "no data yet"
