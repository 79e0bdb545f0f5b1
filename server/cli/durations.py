"""Durations for people."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"))


def duration(seconds: float) -> str:
    """Seconds in the largest unit that fits, and what is left in the next one: ``1 h 25 min``."""
    if round(seconds) < _UNITS[-1][0]:
        return f"{seconds:.0f} s"
    left = round(seconds)
    for place, (size, name) in enumerate(_UNITS):
        if left >= size:
            smaller, small_name = (*_UNITS, (1, "s"))[place + 1]
            rest = left % size // smaller
            return f"{left // size} {name}" + (f" {rest} {small_name}" if rest else "")
    return ""
