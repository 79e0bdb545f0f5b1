"""The reason of a failed write, as a value of `penstock_log_rows_dropped_total`."""

from __future__ import annotations

import errno
import sqlite3

from penstock.monitoring.databases import is_damage


def reason_of(error: Exception) -> str:
    """The reason of `penstock.monitoring.metrics.layout.LOG_DROP_REASONS` that an error is."""
    if is_damage(error):
        return "damaged"
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what SQLite adds to it
        if code == sqlite3.SQLITE_FULL:
            return "disk_full"
    elif isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return "disk_full"
    return "unwritable"
