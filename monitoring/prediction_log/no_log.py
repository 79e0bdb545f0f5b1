"""The journal of a server that keeps no prediction log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.monitoring.samples.received_frames import Account, Labels, ReceivedFrames
    from penstock.monitoring.samples.samples import BatchSample

    from .tally import Tally


class NoLog:
    """Implements `penstock.monitoring.samples.receiver.Journal` and writes no row.

    Args:
        tally: Counts rows.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def restore(self) -> Mapping[str, Account]:
        """See `Journal.restore`."""
        return self._tally.catch_up(*self._tally.read_books())

    def append(self, samples: Sequence[BatchSample], rows: Mapping[Labels, int]) -> bool:
        """Count all rows as dropped, because no log is kept."""
        del samples
        for labels, count in rows.items():
            self._tally.count(labels, "off", count)
        return False

    def commit(self, received_frames: ReceivedFrames, now: float) -> None:
        """Count all frames as kept."""
        del now
        self._tally.settle(received_frames)
        received_frames.keep()

    def close(self) -> None:
        """Nothing to close."""
