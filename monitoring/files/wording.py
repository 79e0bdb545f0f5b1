"""Words that error messages have in common."""

from __future__ import annotations

import reprlib
from typing import Any, Final

_SHOWN: Final = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxlong = _SHOWN.maxother = 100


def shown(value: Any) -> str:
    """A value in an error message: its beginning, however long it is."""
    try:
        return _SHOWN.repr(value)[:200]
    except ValueError:  # a whole number of thousands of digits, which Python does not write out
        return "a number of thousands of digits"


def did_you_mean(name: str, known: list[str]) -> str:
    """A hint for a misspelt key, or nothing."""
    from difflib import get_close_matches  # only when something is wrong

    close = get_close_matches(name, known, 1)
    return f"; did you mean {close[0]}?" if close else ""
