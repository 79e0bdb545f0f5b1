"""DuckDB fetches no extension, and what the server needs is built in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from penstock.monitoring.offline_duckdb import connect

if TYPE_CHECKING:
    from pathlib import Path


def test_extensions_are_neither_installed_nor_loaded_by_themselves() -> None:
    with connect() as database:
        found = database.execute(
            "select name, value from duckdb_settings() where name like 'auto%known_extensions'"
        ).fetchall()
    assert sorted(found) == [
        ("autoinstall_known_extensions", "false"),
        ("autoload_known_extensions", "false"),
    ]


def test_a_statement_that_needs_an_extension_is_refused_at_once() -> None:
    with connect() as database, pytest.raises(duckdb.Error, match="httpfs"):
        database.execute("select * from read_csv('https://127.0.0.1:9/rows.csv')")


def test_parquet_times_and_json_work_with_other_settings(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    with connect(threads="1") as database:
        database.execute(f"copy (select 1 as a, now() as at) to '{path}' (format parquet)")
        (row,) = database.execute(
            "select a, json_object('a', a) from read_parquet(?)", [str(path)]
        ).fetchall()
    assert row == (1, '{"a":1}')
