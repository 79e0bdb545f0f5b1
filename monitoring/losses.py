"""Counts rows that were sampled by a worker, not dropped, and gone with it when it was killed.

Of the lives of workers that are over, what the workers have counted less what has arrived is lost.
Counters of the dead are merged into one file (`penstock.monitoring.merge`), so the sum over all of
them is what is compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .layout import LOG_LOST, SAMPLED_ROWS, SAMPLED_ROWS_DROPPED
from .merge import merge

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from .ledger import Labels, Ledger
    from .metrics import CounterFile
    from .samples import BatchSample

#: Between two looks.
EVERY_SECONDS: Final = 5.0


class Losses:
    """Implements `penstock.monitoring.consumer.Consumer`.

    Args:
        directory: Of the counter files.
        ledger: What has arrived.
        counters: Of the monitor process.
        present: Incarnations that have something left in the spool, or may have.
    """

    def __init__(
        self,
        directory: Path,
        ledger: Ledger,
        counters: CounterFile,
        present: Callable[[], Collection[str]],
    ) -> None:
        self._directory = directory
        self._ledger = ledger
        self._counters = counters
        self._present = present
        self._due = 0.0

    def take(self, samples: Sequence[BatchSample]) -> None:
        """Samples that have arrived are not lost."""

    def tick(self, now: float) -> None:
        """Look, every few seconds."""
        if now >= self._due:
            self._due = now + EVERY_SECONDS
            self.look()

    def close(self) -> None:
        """Look a last time: the workers are gone by now."""
        self.look()

    def look(self) -> None:
        """Count what is missing and was not counted yet."""
        merged = merge(self._directory)
        live = {one.incarnation for one in merged.live}
        if not live.issuperset(self._present()):
            return  # what a dead worker has left behind is still being read
        missing: dict[Labels, int] = {
            labels: slots[SAMPLED_ROWS] - slots[SAMPLED_ROWS_DROPPED] - slots[LOG_LOST]
            for labels, slots in merged.blocks.items()
        }
        for one in merged.live:
            for labels, slots in one.blocks.items():
                missing[labels] -= slots[SAMPLED_ROWS] - slots[SAMPLED_ROWS_DROPPED]
        dead = self._ledger.accounts.keys() - live
        for labels, rows in self._ledger.received(dead).items():
            missing[labels] = missing.get(labels, 0) - rows
        for (model, version), rows in missing.items():
            if rows > 0:
                self._counters.model(model, version).add(LOG_LOST, rows)
