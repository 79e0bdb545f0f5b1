"""A search finds the same with both engines, whatever is looked for."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from penstock.monitoring.prediction_log.answer import QueryFailed
from penstock.monitoring.prediction_log.query import query
from penstock.monitoring.prediction_log.search import Search, column_kinds, search_statement

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "ch\"ur'n"
ROWS = [
    (1000.0 + n, f"r{n}", 0, 1 + n % 2, "canary" if n % 2 else None, 200, None, 0.001, 1.0, n / 2,
     ["red", "it's", '"x"', "5"][n % 4], 2**53 + n)
    for n in range(8)
]  # fmt: skip


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    with closing(sqlite3.connect(tmp_path / "log" / "predictions-1970-01-01.db")) as db:
        name = MODEL.replace('"', '""')
        db.execute(
            f'create table "{name}" (time REAL, request_id TEXT, row INTEGER, version INTEGER,'
            " arm TEXT, status INTEGER, error TEXT, latency REAL, fraction REAL, age REAL,"
            " colour TEXT, customer INTEGER)"
        )
        db.execute('create table "penstock/versions" (model TEXT, version INTEGER, digest TEXT)')
        db.executemany(f'insert into "{name}" values ({",".join("?" * 12)})', ROWS)
        db.commit()
    return tmp_path


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, "76543210"),
        ({"limit": 3}, "765"),
        ({"request_id": "r3"}, "3"),
        ({"since": 1002.0, "until": 1004.0}, "432"),
        ({"version": 2}, "7531"),
        ({"arm": "canary", "since": 1004.5}, "75"),
        ({"column": "AGE", "operator": ">=", "value": "3"}, "76"),
        ({"column": "age", "value": "1.50"}, "3"),
        ({"column": "colour", "value": "it's"}, "51"),
        ({"column": "colour", "value": "5"}, "73"),
        ({"column": "colour", "operator": "contains", "value": '"'}, "62"),
        ({"column": "age", "operator": "contains", "value": ".5"}, "7531"),
        ({"column": "customer", "value": str(2**53 + 5)}, "5"),
        ({"column": "customer", "operator": ">", "value": str(2**53 + 5)}, "76"),
        ({"column": "customer", "operator": "<", "value": str(2**70)}, "76543210"),
        ({"column": "colour", "value": "' or 1=1 --"}, ""),
        ({"request_id": "' or 1=1 --"}, ""),
        ({"arm": "x' union select 1 --"}, ""),
    ],
)
def test_a_search_finds_what_is_like_it(
    state: Path, engine: str, asked: dict[str, Any], found: str
) -> None:
    statement = search_statement(Search(MODEL, **asked), column_kinds(state, MODEL))
    answer = query(state, statement, 100, engine)
    place = list(answer.columns).index("request_id")
    assert "".join(row[place][1:] for row in answer.rows) == found


def test_what_there_is_not_is_said(state: Path) -> None:
    kinds = column_kinds(state, MODEL)
    assert (kinds["age"], kinds["colour"]) == ("REAL", "TEXT")
    for search, why in (
        (Search(MODEL, column="nose", value="1"), "no column 'nose'; there are time, request_id"),
        (Search(MODEL, column="age", operator="like", value="1"), "no comparison 'like'"),
    ):
        with pytest.raises(QueryFailed, match=why):
            search_statement(search, kinds)
    with pytest.raises(QueryFailed, match="no prediction of model 'other'"):
        search_statement(Search("other"), column_kinds(state, "other"))
