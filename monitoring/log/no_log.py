"""The journal of a server that keeps no prediction log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.monitoring.ledger import Account, Labels, Ledger
    from penstock.monitoring.samples import BatchSample


class NoLog:
    """Implements `penstock.monitoring.receiver.Journal` and writes nothing."""

    def restore(self) -> Mapping[str, Account]:
        """Nothing was written."""
        return {}

    def append(self, samples: Sequence[BatchSample], rows: Mapping[Labels, int]) -> None:
        """Nothing is."""

    def commit(self, ledger: Ledger, now: float) -> None:
        """Everything counts as kept."""
        del now
        ledger.keep()

    def close(self) -> None:
        """Nothing to close."""
