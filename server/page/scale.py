"""Axes: round ticks for numbers and times, positions in the picture, points that are few enough."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_TIME_STEPS: Final = (
    1, 2, 5, 10, 15, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE,
    30 * _MINUTE, _HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 7 * _DAY,
    14 * _DAY, 30 * _DAY, 90 * _DAY, 365 * _DAY,
)  # fmt: skip
_ROUND: Final = (1, 2, 2.5, 5, 10)
_GROUPED: Final = 10_000
_MILLION: Final = 1_000_000
_SMALL: Final = 1e-4
#: Beyond this a float no longer tells a tick from its neighbour.
_LARGEST: Final = 1e15
#: Figures nearer to zero are drawn as zero: a part of them would be no number any more.
_LEAST: Final = 1e-290


@dataclass(frozen=True, slots=True)
class Scale:
    """From figures to positions, linear.

    Attributes:
        low: Figure at `start`.
        high: Figure at `end`; above `low`.
        start: Position, pixels.
        end: Position, pixels.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The position of a figure; what lies outside is put at the edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def finite(value: float | None) -> bool:
    """Whether this is a figure: neither missing nor infinite nor not-a-number."""
    return value is not None and math.isfinite(value)


def extent(values: Sequence[float | None], *, zero: bool = False) -> tuple[float, float]:
    """The least and the greatest figure, never the same; 0 to 1 when there is none."""
    known = [
        min(max(one, -_LARGEST), _LARGEST) if abs(one) >= _LEAST else 0.0
        for one in values
        if one is not None and finite(one)
    ]
    if zero and known:
        known.append(0.0)
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        margin = abs(high) * 0.1 or 1.0
        return (low, high + margin) if zero and low >= 0 else (low - margin, high + margin)
    return low, high


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round figures from at most `low` to at least `high`."""
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(one * power for one in _ROUND if one * power >= rough * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def time_ticks(low: float, high: float, count: int = 7) -> list[tuple[float, str]]:
    """Round times in UTC between two Unix times, each with its label; a new day says its date."""
    rough = (high - low) / count
    step = next((one for one in _TIME_STEPS if one >= rough), _TIME_STEPS[-1] * math.ceil(rough))
    found: list[tuple[float, str]] = []
    day = ""
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        moment = datetime.fromtimestamp(number * step, UTC)
        clock = f"{moment:%H:%M:%S}" if step < _MINUTE else f"{moment:%H:%M}"
        date = f"{moment.day} {moment:%b}" + (f" {moment:%Y}" if step > 30 * _DAY else "")
        label = date if step >= _DAY else (f"{date} {clock}" if date != day else clock)
        day = date
        found.append((float(number * step), label))
    return found


def number(value: float | None, unit: str = "") -> str:
    """A figure for people: four digits at most, thousands grouped; a dash when there is none."""
    if value is None or not math.isfinite(value):
        return "\N{EN DASH}"
    size = abs(value)
    if size >= _MILLION:
        power = min(int(math.log10(size) // 3), 4)
        text = (
            f"{value / 1000.0**power:.4g}" + " kMGT"[power] if size < _LARGEST else f"{value:.3g}"
        )
    elif size >= _GROUPED or (value == int(value) and size >= 1000):  # noqa: PLR2004
        text = f"{value:,.0f}"
    else:
        text = f"{value:.3g}" if size < _SMALL else f"{value:.4g}"
    return f"{text}{_spaced(unit)}".replace("-", "\N{MINUS SIGN}", 1 if value < 0 else 0)


def tick_labels(values: Sequence[float], unit: str = "") -> list[str]:
    """Labels of an axis: all with the same number of decimals."""
    if not values:
        return []
    size = max(map(abs, values))
    step = values[1] - values[0] if len(values) > 1 else size
    if size >= _MILLION or (0 < step < _SMALL):
        return [number(one, unit) for one in values]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    if step > 0 and abs(round(step, decimals) - step) > step * 1e-6:
        decimals += 1
    texts = [f"{round(one, decimals) + 0.0:,.{decimals}f}{_spaced(unit)}" for one in values]
    return [text.replace("-", "\N{MINUS SIGN}") for text in texts]


def moment(time: float | None) -> str:
    """A Unix time for people: ``2031-05-01 12:00:00 UTC``; a dash when there is none."""
    if time is None or not math.isfinite(time):
        return "\N{EN DASH}"
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"


def thin(values: Sequence[float | None], limit: int) -> list[int]:
    """Which points to draw so that no peak is lost.

    Args:
        values: In order.
        limit: At most about so many points.

    Returns:
        Positions in order: of each run of points the lowest, the highest, and a gap if there is
        one.
    """
    if len(values) <= limit:
        return list(range(len(values)))
    run = math.ceil(3 * len(values) / limit)
    kept = {0, len(values) - 1}
    for start in range(0, len(values), run):
        part = range(start, min(start + run, len(values)))
        known = [index for index in part if finite(values[index])]
        gap = next((index for index in part if not finite(values[index])), None)
        if gap is not None:
            kept.add(gap)
        if known:
            kept.add(min(known, key=lambda index: values[index] or 0.0))
            kept.add(max(known, key=lambda index: values[index] or 0.0))
    return sorted(kept)


def _spaced(unit: str) -> str:
    return unit if unit in {"", "%"} else f" {unit}"
