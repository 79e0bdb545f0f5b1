"""The caller's part of a trace, as its request carries it.

Source: https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_TRACEPARENT: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NOTHING: Final = frozenset("0")


class Parent(NamedTuple):
    """The span of the caller.

    Attributes:
        trace_id: Of the whole trace, 32 hexadecimal digits.
        span_id: Of the caller's span, 16 hexadecimal digits.
        sampled: Whether the caller records the trace.
    """

    trace_id: str
    span_id: str
    sampled: bool


def read_parent(traceparent: bytes) -> Parent | None:
    """The caller's span, or ``None`` where the header names none.

    Args:
        traceparent: Value of the header; one that cannot be read begins a new trace.
    """
    match = _TRACEPARENT.match(traceparent)
    if match is None or (len(traceparent) > match.end() and traceparent[:2] == b"00"):
        return None
    trace_id, span_id = match[1].decode(), match[2].decode()
    if _NOTHING in (frozenset(trace_id), frozenset(span_id)):
        return None
    return Parent(trace_id, span_id, bool(int(match[3], 16) & 1))
