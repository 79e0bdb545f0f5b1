"""How long a request waited and ran, as a header of its answer.

Source: https://www.w3.org/TR/server-timing/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.batching.request import Batch
    from penstock.server.codecs.negotiate import Body

    from .call import Call

#: In the query of the URL of a prediction. Requests that ask for times take the slower of the two
#: front ends.
TIMING: Final = "timing"
#: The same as a header, with the value 1.
TIMING_HEADER: Final = b"x-penstock-timing"


def wants_timing(query: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request asks for the times.

    Args:
        query: Query of the URL, percent-encoded.
        headers: Names in lower case.
    """
    if any(name == TIMING_HEADER and value == b"1" for name, value in headers):
        return True  # an ASGI server may give pairs of any kind, such as lists
    return b"timing" in query and parse_qs(query.decode("latin-1")).get(TIMING) == ["true"]


def with_timing(
    answered: list[tuple[Call, tuple[bytes, Body]]], batch: Batch, now: float
) -> list[tuple[Call, tuple[bytes, Body]]]:
    """The answers of a run; those of calls that asked for it tell their times.

    Args:
        answered: Each call with the header lines and the body of its answer.
        batch: The run.
        now: Monotonic seconds.
    """
    return [
        (call, (lines + _line(call.arrival, batch, now) if call.timed else lines, body))
        for call, (lines, body) in answered
    ]


def _line(arrival: float, batch: Batch, now: float) -> bytes:
    """``queue``: from the first byte to the run. ``compute``: the run. ``total``: until now."""
    queue, compute = batch.started_at - arrival, batch.finished_at - batch.started_at
    return b"server-timing: queue;dur=%.3f, compute;dur=%.3f, total;dur=%.3f\r\n" % (
        1e3 * max(0.0, queue),
        1e3 * compute,
        1e3 * (now - arrival),
    )
