"""Durations as people write them: ``90s``, ``5m``, ``24h``, or a number of seconds."""

from __future__ import annotations

import math
import re
from typing import Any, Final, Self

from penstock.monitoring.files.wording import shown

_UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_WRITTEN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_LONGEST_SECONDS: Final = 3650 * 86_400.0


class Duration(float):
    """Seconds, decoded from a number or from a text such as ``90s``, ``5m`` or ``24h``.

    Attributes:
        expected: Form of a value, in words.
    """

    expected: Final = "a duration such as 300, '90s', '5m' or '24h', at most 3650d"

    @classmethod
    def parse(cls, content: Any) -> Self:
        """The seconds of what was written.

        Raises:
            ValueError: It is no duration, or longer than ten years.
        """
        seconds = math.nan
        if isinstance(content, str):
            if match := _WRITTEN.fullmatch(content.strip()):
                seconds = float(match[1]) * _UNITS[match[2] or ""]
        elif isinstance(content, int | float) and not isinstance(content, bool):
            seconds = content
        if not 0 <= seconds <= _LONGEST_SECONDS:
            raise ValueError(f"it is {shown(content)}, expected {cls.expected}")
        return cls(seconds)
