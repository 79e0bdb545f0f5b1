"""Accounts of received frames: the last frame of each worker incarnation, and rows by version.

The prediction log writes the accounts in the transaction of the rows themselves, so that the two
agree even after a kill.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

#: Model and version.
Labels = tuple[str, str]


@dataclass(slots=True)
class Account:
    """The account of one incarnation of one worker.

    Attributes:
        last: Number of the last frame that was taken.
        received: Rows in all its frames.
    """

    last: int = 0
    received: dict[Labels, int] = field(default_factory=dict)


class ReceivedFrames:
    """All accounts of a running server, by incarnation."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        #: Incarnations that changed since `keep`.
        self.changed: set[str] = set()

    def last(self, incarnation: str) -> int:
        """The last frame taken from this incarnation; 0 if none was."""
        account = self.accounts.get(incarnation)
        return 0 if account is None else account.last

    def keep(self) -> None:
        """Note that all frames taken so far are on the disk."""
        self.changed.clear()

    def receive(self, incarnation: str, number: int, rows: Mapping[Labels, int]) -> None:
        """Note a taken frame and its rows."""
        account = self.accounts.setdefault(incarnation, Account())
        account.last = number
        for labels, count in rows.items():
            account.received[labels] = account.received.get(labels, 0) + count
        self.changed.add(incarnation)

    def restore(self, accounts: Mapping[str, Account]) -> None:
        """Continue from the accounts that an earlier incarnation of the monitor has written."""
        self.accounts.update(accounts)

    def forget(self, but: Collection[str]) -> None:
        """Forget the accounts of ended incarnations that have left no frames behind.

        Args:
            but: Incarnations whose accounts stay.
        """
        for incarnation in self.accounts.keys() - but:
            del self.accounts[incarnation]
        self.changed.intersection_update(but)

    def received(self, incarnations: Iterable[str]) -> dict[Labels, int]:
        """Sum of the rows that came from these incarnations."""
        totals: dict[Labels, int] = {}
        for incarnation in incarnations:
            account = self.accounts.get(incarnation)
            for labels, count in account.received.items() if account else ():
                totals[labels] = totals.get(labels, 0) + count
        return totals
