"""Feedback: labels by request id, joined with predictions, and the quality of the predictions.

`change` runs the test for change over arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .label_stream import Change as Change
    from .label_stream import LabelEvents as LabelEvents
    from .label_stream import change as change


def __getattr__(name: str) -> Any:
    """From `label_stream`, loaded when it is asked for: most who import this room need none."""
    if name in {"Change", "LabelEvents", "change"}:
        from . import label_stream

        return getattr(label_stream, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
