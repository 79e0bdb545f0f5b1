"""An open loop at a share of what the server can do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from .closed import ClosedLoop
from .connections import Connections
from .managed import HOST
from .open import OpenLoop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .cases import Case

#: Of the closed loop that finds the capacity.
_CLOSED_CONNECTIONS: Final = 64
#: Of the open loop: a machine that stands still for some milliseconds must not hold back arrivals.
_OPEN_CONNECTIONS: Final = 256


@contextmanager
def offered(
    port: int, case: Case, share: float, lag_limit_seconds: float
) -> Iterator[tuple[OpenLoop, float]]:
    """A loop with its connections, and the rate to offer.

    Args:
        port: Port of the server.
        case: What is asked.
        share: Share of the capacity, which is measured first.
        lag_limit_seconds: See `OpenLoop`.
    """
    with Connections(HOST, port, _CLOSED_CONNECTIONS) as connections:
        closed = ClosedLoop(connections, [case])
        closed.run(1.0)
        rate = share * closed.run(2.0).throughput
    with Connections(HOST, port, _OPEN_CONNECTIONS) as connections:
        yield OpenLoop(connections, [case], lag_limit_seconds=lag_limit_seconds), rate
