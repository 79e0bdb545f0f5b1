"""Bars per name, and two distributions laid over each other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from .frame import HALF, WIDTH, Frame, colour, figure, text_at
from .scale import Scale, extent, finite, number, ticks
from .shape import Shape, shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from .lines import Threshold

#: Names in one chart; further ones are counted in its title.
MAX_BARS: Final = 40
MAX_BINS: Final = 200

_NAMES: Final = 190  # pixels for names of bars
_ROOM: Final = 70  # pixels for the figures behind the longest bar


def bar_chart(
    title: str,
    names: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    *,
    thresholds: Sequence[Threshold] = (),
    unit: str = "",
    muted: str = "",
    tones: Sequence[str] = (),
    description: str = "",
    width: float = WIDTH,
) -> Markup:
    """Lying bars, one group per name, in the order given.

    Args:
        title: Name of the shown figures.
        names: Names of features, categories; up to `MAX_BARS` are drawn.
        series: Name in the legend -> one figure per name, not below zero; ``None`` has no bar.
        thresholds: Levels, as upright dashed lines.
        unit: Unit of the figures.
        muted: Name of the series drawn in grey: the baseline, say.
        tones: One per name: ``good``, ``warning``, ``bad`` or nothing, instead of the colour of
            the series; for charts with one series.
        description: The same in a sentence; made from the figures by default.
        width: `WIDTH`, or `HALF` for one of a pair.
    """
    if len(names) > MAX_BARS:
        title = f"{title} (the first {MAX_BARS} of {len(names)})"
    names = names[:MAX_BARS]
    plain = [name for name in series if name != muted]
    colours = {name: colour(plain.index(name)) if name in plain else "muted" for name in series}
    thick = 14 if len(series) == 1 else 13
    group = thick * len(series) + 8
    bottom = 26 + group * len(names)
    figures = [one for values in series.values() for one in values[: len(names)]]
    top = ticks(*extent([*figures, *(one.value for one in thresholds)], zero=True))[-1]
    left = _NAMES if width > HALF else _NAMES * HALF / WIDTH
    across = Scale(0.0, top, left, width - _ROOM)
    parts = [drawn for one in thresholds for drawn in _upright(one, across, bottom)]
    for row, name in enumerate(names):
        y = 24 + row * group
        parts.append(text_at(left - 8, y + group / 2, name, "end"))
        for place, (label, values) in enumerate(series.items()):
            value = values[row] if row < len(values) else None
            tone = (tones[row] if row < len(tones) else "") or colours[label]
            parts += _bar(f"{name}, {label}", value, unit, tone, across, y + thick * place, thick)
    legend = [(tone, label) for label, tone in colours.items()]
    said = description or _sentence(names, series, unit)
    return figure(
        title, said, (width, bottom + 8), "bars", parts, legend if len(series) > 1 else ()
    )


def histogram_chart(
    title: str,
    edges: Sequence[float],
    baseline: Sequence[float],
    now: Sequence[float],
    *,
    names: tuple[str, str] = ("baseline", "now"),
    unit: str = "",
    description: str = "",
    height: float = 200,
    width: float = HALF,
) -> Markup:
    """Two distributions over the same bins, as shares of their totals per unit of the axis.

    Bins of unequal width are drawn truthfully: the area is the share.

    Args:
        title: Name of the shown figures, the feature for example.
        edges: Ascending, one more than bins; the outermost may be infinite and are then drawn as
            wide as their neighbours.
        baseline: Counts or shares per bin: the filled one.
        now: The same: the outlined one.
        names: Names of the two in the legend.
        unit: Unit of the axis.
        description: The same in a sentence.
        height: Pixels.
        width: `HALF`, for one of a pair, or `WIDTH`.
    """
    bins = min(len(edges) - 1, len(baseline), len(now), MAX_BINS)
    ends = _finite_edges(edges[: bins + 1])
    frame = Frame(
        title, description or f"{names[1]} against {names[0]}, {bins} bins", height, width
    )
    shares = [_shares(baseline[:bins]), _shares(now[:bins])]
    tallest = [
        [
            share / max(high - low, 1e-300)
            for share, low, high in zip(one, ends, ends[1:], strict=False)
        ]
        for one in shares
    ]
    peak = max((value for one in tallest for value in one), default=0.0) or 1.0
    up = Scale(0.0, peak, frame.bottom, frame.top)
    frame.left = 24
    across = frame.numbers(ends[0], ends[-1], unit)
    for tone, name, heights, kind in zip(
        ("muted", "c0"), names, tallest, ("area", "line"), strict=True
    ):
        frame.name(tone, name)
        frame.draw(shape("path", d=_outline(heights, ends, across, up), tone=f"{kind} {tone}"))
    for index in range(bins):
        frame.draw(_bin_tip(index, ends, shares, names, frame, across, unit))
    return frame.render("histogram")


def _bar(
    name: str, value: float | None, unit: str, tone: str, across: Scale, y: float, thick: float
) -> list[Shape]:
    words = number(value, unit)
    if value is None or not finite(value):
        return [text_at(across.start + 4, y + thick - 3, words, kind="note")]
    end = across(value)
    bar = shape(
        "rect", f"{name}: {words}", x=across.start, y=float(y),
        width=max(end - across.start, 1.0), height=thick - 2.0, rx=2, tone=f"bar {tone}",
    )  # fmt: skip
    return [bar, text_at(end + 5, y + thick - 3, words, kind="note")]


def _upright(level: Threshold, across: Scale, bottom: float) -> list[Shape]:
    x = across(level.value)
    line = shape("line", x1=x, y1=18, x2=x, y2=bottom, tone=f"level {level.tone}")
    return [line, text_at(x, 13, level.label, "middle", f"note {level.tone}")]


def _finite_edges(edges: Sequence[float]) -> list[float]:
    """Outermost bins that reach to infinity become as wide as their neighbours."""
    inner = [one for one in edges if math.isfinite(one)]
    if len(inner) < 2:  # noqa: PLR2004 - one edge has no width
        middle = inner[0] if inner else 0.0
        return [middle + place - (len(edges) - 1) / 2 for place in range(len(edges))]
    ends = list(edges)
    if not math.isfinite(ends[0]):
        ends[0] = inner[0] - (inner[1] - inner[0])
    if not math.isfinite(ends[-1]):
        ends[-1] = inner[-1] + (inner[-1] - inner[-2])
    return ends


def _shares(counts: Sequence[float]) -> list[float]:
    known = [one if finite(one) and one > 0 else 0.0 for one in counts]
    total = sum(known)
    return [one / total if total else 0.0 for one in known]


def _outline(heights: Sequence[float], ends: Sequence[float], across: Scale, up: Scale) -> str:
    path = f"M{across(ends[0]):.1f} {up(0.0):.1f}"
    for height, end in zip(heights, ends[1:], strict=False):
        path += f"V{up(height):.1f}H{across(end):.1f}"
    return f"{path}V{up(0.0):.1f}Z"


def _bin_tip(
    index: int,
    ends: Sequence[float],
    shares: Sequence[Sequence[float]],
    names: tuple[str, str],
    frame: Frame,
    across: Scale,
    unit: str,
) -> Shape:
    low, high = ends[index], ends[index + 1]
    said = ", ".join(
        f"{name} {number(100 * one[index], '%')}" for name, one in zip(names, shares, strict=True)
    )
    x = across(low)
    return shape(
        "rect", f"{number(low)} to {number(high, unit)}: {said}", x=x, y=frame.top,
        width=across(high) - x, height=frame.bottom - frame.top, tone="cover",
    )  # fmt: skip


def _sentence(names: Sequence[str], series: Mapping[str, Sequence[float | None]], unit: str) -> str:
    first = next(iter(series.values()), ())
    shown = [f"{name} {number(value, unit)}" for name, value in zip(names, first, strict=False)]
    return ", ".join(shown[:5]) + (", \N{HORIZONTAL ELLIPSIS}" if len(shown) > 5 else "")  # noqa: PLR2004
