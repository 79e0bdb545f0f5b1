"""Answers leave the process as files that hold the same rows."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import pytest

from penstock.monitoring.offline_duckdb import connect
from penstock.monitoring.prediction_log.answer import Answer, QueryFailed
from penstock.server.log_query.cells import file_of, plain

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ["n", "x", "word", "word", "mixed", "none"]
ROWS = [
    (1, 0.5, "=1+1", b"\x00\xff", 1, None),
    (None, float("nan"), 'a,"b"', None, "two", None),
    (-(2**60), 2.5, "名", b"", 2.5, None),
]
ANSWER = Answer(COLUMNS, ROWS, more=False, notes=())
NAMES = ["n", "x", "word", "word_2", "mixed", "none"]


def test_csv_holds_the_rows_and_no_formula() -> None:
    names, *rows = csv.reader(io.StringIO(file_of(ANSWER, "csv").decode()))
    assert names == NAMES
    assert rows[0] == ["1", "0.5", "'=1+1", "00ff", "1", ""]
    assert rows[1] == ["", "nan", 'a,"b"', "", "two", ""]
    assert rows[2][:3] == [str(-(2**60)), "2.5", "名"]


def test_json_holds_an_object_for_each_row() -> None:
    rows = [json.loads(line) for line in file_of(ANSWER, "json").splitlines()]
    assert [list(row) for row in rows] == [NAMES] * 3
    assert list(rows[0].values()) == [1, 0.5, "=1+1", "00ff", 1, None]
    assert rows[1]["x"] == "nan"


def test_parquet_has_types(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(file_of(ANSWER, "parquet"))
    with connect() as db:
        cursor = db.execute("select * from read_parquet(?)", [str(path)])
        assert [one[0] for one in cursor.description] == NAMES
        rows = cursor.fetchall()
    assert [row[0] for row in rows] == [1, None, -(2**60)]
    assert [row[1] for row in rows][::2] == [0.5, 2.5]
    assert [row[4] for row in rows] == ["1", "two", "2.5"]
    assert [row[5] for row in rows] == [None] * 3


def test_another_format_is_refused_and_long_cells_are_cut() -> None:
    with pytest.raises(QueryFailed, match="no format 'xlsx'; there are csv, json, parquet"):
        file_of(ANSWER, "xlsx")
    assert plain("x" * 2000, 1000) == "x" * 1000 + "…"
    assert len(plain(b"x" * 2000, 1000)) == 1001
