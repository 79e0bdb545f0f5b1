"""The books: accounts and totals of received rows, in a file in memory that outlives the monitor.

The prediction log writes the same figures into its day files, with the rows. This file counts when
there is no day file: no log is kept, the disk is full, or the file is damaged. It is replaced by
one rename, so that a reader sees all of the new file or all of the old one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

import msgpack

from penstock.monitoring.files.atomic_file import replace_file

from .received_frames import Account

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOG = logging.getLogger("penstock.log")

#: Rows by model, version and counter slot.
Totals = dict[tuple[str, str, int], int]


class BooksFile:
    """The file of the books. One thread of one process writes it.

    Args:
        path: File in the run directory: it stays as long as the server runs.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._complained = False

    def read(self) -> tuple[dict[str, Account], Totals]:
        """The figures that were written last; empty if there is no such file."""
        try:
            accounts, totals = msgpack.unpackb(self._path.read_bytes())
            return (
                {name: _account(last, rows) for name, last, rows in accounts},
                {(model, version, slot): rows for model, version, slot, rows in totals},
            )
        except FileNotFoundError:
            return {}, {}
        except (OSError, ValueError, TypeError, msgpack.UnpackException) as error:
            LOG.warning("%s cannot be read: %s", self._path, error)
            return {}, {}

    def write(self, accounts: Mapping[str, Account], totals: Mapping[Any, int]) -> None:
        """Replace the file. A failure is logged once; the day files are still written."""
        content = (
            [
                (name, one.last, [(*labels, rows) for labels, rows in one.received.items()])
                for name, one in accounts.items()
            ],
            [(*key, rows) for key, rows in totals.items()],
        )
        try:
            replace_file(self._path, cast("bytes", msgpack.packb(content)), synced=False)
            self._complained = False
        except OSError as error:
            if not self._complained:
                self._complained = True
                LOG.warning("%s cannot be written: %s", self._path, error)


def _account(last: int, rows: list[tuple[str, str, int]]) -> Account:
    return Account(last, {(model, version): count for model, version, count in rows})


def newest(known: dict[str, Account], more: Mapping[str, Account]) -> None:
    """Put into `known` the accounts of `more` that are newer."""
    for incarnation, account in more.items():
        before = known.get(incarnation)
        if before is None or before.last < account.last:
            known[incarnation] = account


def largest(known: Totals, more: Mapping[tuple[str, str, int], int]) -> None:
    """Put into `known` the totals of `more` that are larger: totals only grow."""
    for key, rows in more.items():
        known[key] = max(rows, known.get(key, 0))
