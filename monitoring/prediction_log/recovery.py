"""The rows that earlier incarnations of the monitor wrote in this run of the server."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING

from penstock.monitoring.samples.books import Totals, largest, newest
from penstock.monitoring.samples.received_frames import Account

from .day_file import DayFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LOG = logging.getLogger("penstock.log")


def recover(paths: Iterable[Path], epoch: str) -> tuple[dict[str, Account], Totals]:
    """The newest accounts and totals in some day files; damaged files are skipped."""
    accounts: dict[str, Account] = {}
    totals: Totals = {}
    for path in paths:
        try:
            file = DayFile(path)
            entries, found = file.read_accounts(epoch), file.read_totals(epoch)
            file.abandon()
        except sqlite3.Error as error:
            LOG.warning("%s: %s", path, error)
            continue
        here: dict[str, Account] = {}
        for incarnation, last, model, version, rows in entries:
            account = here.setdefault(incarnation, Account(last))
            account.received[model, version] = rows
        newest(accounts, here)
        largest(totals, found)
    return accounts, totals
