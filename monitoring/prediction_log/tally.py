"""Rows of the prediction log by what became of them: decided with a commit, then counted for good.

Every row that reaches the monitor is counted once, as written or as dropped for one reason. The
counters repeat what the day file, or the file of books in memory, says: a monitor that is killed
between the two finds the difference at its next start and counts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.monitoring.metrics.layout import LOG_DROP_REASONS, LOG_DROPPED, LOG_LOST, LOG_WRITTEN
from penstock.monitoring.metrics.merge import merge
from penstock.monitoring.samples.books import Totals, largest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from penstock.monitoring.metrics.metrics import CounterFile
    from penstock.monitoring.samples.books import BooksFile
    from penstock.monitoring.samples.received_frames import Account, Labels, ReceivedFrames

_DROPPED: Final = {reason: LOG_DROPPED + at for at, reason in enumerate(LOG_DROP_REASONS)}


def counted_rows(directory: Path) -> Totals:
    """Counts of all incarnations of the monitor, by model, version and slot.

    Args:
        directory: Directory of the counter files.
    """
    return {
        (model, version, slot): figures[slot]
        for (model, version), figures in merge(directory).blocks.items()
        for slot in range(LOG_WRITTEN, LOG_LOST)
        if figures[slot]
    }


class Tally:
    """Used in the working thread of the monitor.

    Args:
        counters: Counters of the monitor process.
        counted: Counts of earlier incarnations, see `counted_rows`.
        books: Written with each settlement.
    """

    def __init__(
        self, counters: CounterFile, counted: Mapping[tuple[str, str, int], int], books: BooksFile
    ) -> None:
        self.counters = counters
        self._books = books
        self._totals: Totals = dict(counted)
        self._pending: Totals = {}

    def catch_up(self, accounts: dict[str, Account], totals: Totals) -> dict[str, Account]:
        """Count the rows that earlier incarnations wrote and had no time to count.

        Args:
            accounts: As the books have them, or newer.
            totals: Row counts as the books have them, or newer.

        Returns:
            `accounts`.
        """
        for (model, version, slot), rows in totals.items():
            missing = rows - self._totals.get((model, version, slot), 0)
            if missing > 0:
                self.counters.model(model, version).add(slot, missing)
                self._totals[model, version, slot] = rows
        return accounts

    def read_books(self) -> tuple[dict[str, Account], Totals]:
        """The books in the file in memory."""
        return self._books.read()

    def count(self, labels: Labels, what: str, rows: int) -> None:
        """Rows have met with this: ``written``, or a reason to drop them."""
        if rows:
            key = *labels, LOG_WRITTEN if what == "written" else _DROPPED[what]
            self._pending[key] = self._pending.get(key, 0) + rows

    def give_up(self, reason: str) -> None:
        """Count the rows that were to be written as dropped, for a reason."""
        for model, version, slot in [key for key in self._pending if key[2] == LOG_WRITTEN]:
            rows = self._pending.pop((model, version, slot))
            self.count((model, version), reason, rows)

    def changed(self) -> Totals:
        """The totals that the next settlement changes, as they will be."""
        return {key: self._totals.get(key, 0) + rows for key, rows in self._pending.items()}

    def settle(self, received_frames: ReceivedFrames) -> None:
        """It is decided: write the books, then count."""
        if self._pending or received_frames.changed:
            totals = self.changed()
            largest(totals, self._totals)
            self._books.write(received_frames.accounts, totals)
        for (model, version, slot), rows in self._pending.items():
            self.counters.model(model, version).add(slot, rows)
            key = model, version, slot
            self._totals[key] = self._totals.get(key, 0) + rows
        self._pending.clear()
