"""The caller's part of a trace is read as W3C Trace Context says."""

from __future__ import annotations

import pytest

from penstock.server.tracing.parent import Parent, read_parent
from penstock.server.tracing.tracing import baggage_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"01-{TRACE}-{SPAN}-01-more", True),  # later versions may be longer
    ],
)
def test_a_caller_is_read(header: str, sampled: bool) -> None:
    assert read_parent(header.encode()) == Parent(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "no",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
    ],
)
def test_what_is_no_caller_begins_a_new_trace(header: str) -> None:
    assert read_parent(header.encode()) is None


def test_baggage_becomes_attributes_up_to_a_bound() -> None:
    assert baggage_of(b"") == {}
    assert baggage_of(b"tenant=a%20b;secret, user = 7 , =x, broken") == {
        "baggage.tenant": "a b",
        "baggage.user": "7",
    }
    assert len(baggage_of(b",".join(b"k%d=v" % number for number in range(100)))) == 8
    assert baggage_of(b"k=" + b"v" * 300) == {}
