"""Counts the rows that a killed worker had sampled and that reached neither the log nor a counter.

For each ended incarnation of a worker, the lost rows are the rows that the worker counted as
sampled, less the rows that the monitor counted as written or dropped. The figure is exact because:

* An incarnation has ended when the kernel has released the lock on its counter file. Its counters
  are read after that, and it appends nothing any more.
* The spool is listed after that, too. While the spool holds a segment of an ended incarnation,
  nothing is counted, because the rows of the segment may still arrive. An older listing is not
  enough: a worker may begin a segment after the listing and die.
* Written and dropped rows are read from the counters of the monitor, which the prediction log
  repairs after a kill (`penstock.monitoring.prediction_log.tally`). The accounts of single
  incarnations are not used: the day file that held them may be damaged.

So the rows counted as written, dropped and lost add up to the rows that ended workers have sampled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.monitoring.metrics.layout import (
    LOG_LOST,
    LOG_WRITTEN,
    SAMPLED_ROWS,
    SAMPLED_ROWS_DROPPED,
)
from penstock.monitoring.metrics.merge import merge

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from penstock.monitoring.metrics.merge import Merged
    from penstock.monitoring.metrics.metrics import CounterFile

    from .received_frames import Labels, ReceivedFrames
    from .samples import BatchSample

#: Seconds between two checks.
EVERY_SECONDS: Final = 5.0


class LostRows:
    """Implements `penstock.monitoring.samples.consumer.Consumer`.

    Args:
        directory: Directory of the counter files.
        received_frames: The accounts of received frames.
        counters: Counters of the monitor process.
        present: Returns the incarnations with segments in the spool; ``None`` if the spool cannot
            be listed.
    """

    def __init__(
        self,
        directory: Path,
        received_frames: ReceivedFrames,
        counters: CounterFile,
        present: Callable[[], Collection[str] | None],
    ) -> None:
        self._directory = directory
        self._received_frames = received_frames
        self._counters = counters
        self._present = present
        self._due = 0.0

    def take(self, samples: Sequence[BatchSample]) -> None:
        """Ignore samples: they have arrived."""

    def tick(self, now: float) -> None:
        """Check, every few seconds."""
        if now >= self._due:
            self._due = now + EVERY_SECONDS
            self.look()

    def close(self) -> None:
        """Check a last time: the workers have ended by now."""
        self.look()

    def look(self) -> None:
        """Count lost rows that were not counted yet."""
        merged = merge(self._directory)
        live = {one.incarnation for one in merged.live}
        present = self._present()  # listed after the ended incarnations were found
        if present is None or not live.issuperset(present):
            return  # the segments of an ended worker are still being read
        for (model, version), rows in rows_lost(
            merged, self._received_frames.received(live)
        ).items():
            self._counters.model(model, version).add(LOG_LOST, rows)
        self._received_frames.forget(but=live)


def rows_lost(merged: Merged, received: Mapping[Labels, int]) -> dict[Labels, int]:
    """Rows of ended incarnations that will not arrive any more and are not counted. Pure.

    Args:
        merged: The counters of all processes.
        received: Received rows of running incarnations, all of them counted by the monitor.
    """
    missing: dict[Labels, int] = {}
    for labels, slots in merged.blocks.items():
        counted = sum(slots[LOG_WRITTEN : LOG_LOST + 1])
        missing[labels] = slots[SAMPLED_ROWS] - slots[SAMPLED_ROWS_DROPPED] - counted
    for one in merged.live:
        for labels, slots in one.blocks.items():
            missing[labels] -= slots[SAMPLED_ROWS] - slots[SAMPLED_ROWS_DROPPED]
    for labels, rows in received.items():
        missing[labels] = missing.get(labels, 0) + rows
    # Where counter blocks run out, rows of a version are counted under another label: only the sum
    # over all labels is sure.
    left = max(0, sum(missing.values()))
    lost: dict[Labels, int] = {}
    for labels, rows in missing.items():
        if rows > 0 and left > 0:
            lost[labels] = min(rows, left)
            left -= lost[labels]
    return lost
