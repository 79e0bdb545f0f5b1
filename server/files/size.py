"""Sizes as people write them: a number of bytes, or a text such as ``64KiB``."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final, Self

from penstock.monitoring.files.config_file import MAX_NUMBER
from penstock.monitoring.files.wording import shown

_UNITS: Final = {"": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
_WRITTEN: Final = re.compile(r"(\d{1,20})\s*([KMG]iB)?", re.IGNORECASE | re.ASCII)


class Size(int):
    """Bytes, decoded from a whole number or from a text such as ``64KiB``.

    A subclass may have other bounds: ``class NonZeroSize(Size, least=1)``.

    Attributes:
        expected: Form of a value, in words.
    """

    expected: ClassVar[str] = "a size such as 65536 or 64KiB, at least 0"
    _bounds: ClassVar[tuple[int, int]] = (0, MAX_NUMBER)

    def __init_subclass__(cls, least: int = 0, most: int = MAX_NUMBER) -> None:
        """The bounds of the subclass, both included."""
        cls._bounds = least, most
        cls.expected = "a size such as 65536 or 64KiB" + (
            f", at least {least}" if most == MAX_NUMBER else f" from {least} to {most}"
        )

    @classmethod
    def parse(cls, content: Any) -> Self:
        """The bytes of what was written.

        Raises:
            ValueError: It is no size, or out of bounds.
        """
        size = -1
        if isinstance(content, str):
            if match := _WRITTEN.fullmatch(content.strip()):
                size = int(match[1]) * _UNITS[(match[2] or "").upper()]
        elif isinstance(content, int) and not isinstance(content, bool):
            size = content
        least, most = cls._bounds
        if not least <= size <= most:
            raise ValueError(f"it is {shown(content)}, expected {cls.expected}")
        return cls(size)


class NonZeroSize(Size, least=1):
    """A size from 1 byte."""
