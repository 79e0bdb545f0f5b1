"""Connections to DuckDB that fetch nothing. The only place that connects.

By default DuckDB downloads an extension from its maker's host and runs it, when a statement names a
function or a file format that needs one. What the server uses (Parquet, JSON) is built in.
"""

from __future__ import annotations

from typing import Any, Final

_OFFLINE: Final = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",  # what somebody else left in ~/.duckdb
}


def connect(**settings: str) -> Any:
    """A connection to a new database in memory.

    Args:
        settings: Settings of DuckDB, by name.

    Raises:
        ImportError: DuckDB is not installed; it is an extra.
    """
    import duckdb  # large

    return duckdb.connect(config={**_OFFLINE, **settings})
