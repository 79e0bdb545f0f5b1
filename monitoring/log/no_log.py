"""The journal of a server that keeps no prediction log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.monitoring.layout import LOG_DROP_REASONS, LOG_DROPPED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.monitoring.ledger import Account, Labels, Ledger
    from penstock.monitoring.metrics import CounterFile
    from penstock.monitoring.samples import BatchSample

_OFF: Final = LOG_DROPPED + LOG_DROP_REASONS.index("off")


class NoLog:
    """Implements `penstock.monitoring.receiver.Journal` and writes nothing.

    Args:
        counters: Of the monitor process.
    """

    def __init__(self, counters: CounterFile) -> None:
        self._counters = counters

    def restore(self) -> Mapping[str, Account]:
        """Nothing was written."""
        return {}

    def append(self, samples: Sequence[BatchSample], rows: Mapping[Labels, int]) -> bool:
        """All of them count as dropped: nobody wants them."""
        del samples
        for (model, version), count in rows.items():
            self._counters.model(model, version).add(_OFF, count)
        return False

    def commit(self, ledger: Ledger, now: float) -> None:
        """Everything counts as kept."""
        del now
        ledger.keep()

    def close(self) -> None:
        """Nothing to close."""
