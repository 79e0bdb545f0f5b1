"""Drift detection: compares inputs and outputs of a model with its baseline.

Bins, windows, and a rule with a stated false-alarm rate. The statistics are pure; `assess` runs all
of them over arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .stream import assess as assess


def __getattr__(name: str) -> Any:
    """`stream.assess`, loaded when it is asked for: most who import this room need no numbers."""
    if name == "assess":
        from .stream import assess

        return assess
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
