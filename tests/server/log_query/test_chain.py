"""One id may be that of several predictions, which is said."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from penstock.server.log_query.chain import chain

if TYPE_CHECKING:
    from pathlib import Path


def _log(state: Path, model: str, *times: float) -> None:
    with closing(sqlite3.connect(state / "log" / "predictions-1970-01-01.db")) as db:
        db.execute(
            f'create table "{model}"'
            " (time REAL, request_id TEXT, row INTEGER, version INTEGER, arm TEXT)"
        )
        versions = '"penstock/versions" (model TEXT, version INTEGER, digest TEXT)'
        db.execute(f"create table if not exists {versions}")
        for time in times:
            for row in range(2):
                db.execute(f'insert into "{model}" values (?, ?, ?, 1, null)', (time, "r", row))
        db.commit()


def test_several_predictions_of_one_id_are_told(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    _log(tmp_path, "churn", 1000.0)
    one = chain(tmp_path, tmp_path, "r")
    assert (len(one["rows"]), one["notes"]) == (2, [])
    _log(tmp_path, "fraud", 1000.0, 2000.0)
    found = chain(tmp_path, tmp_path, "r")
    assert len(found["rows"]) == 6
    assert "3 predictions have this id (churn 1, fraud 1, fraud 1);" in found["notes"][0]
    _log(tmp_path, "fares", 3000.0)
    (note,) = chain(tmp_path, tmp_path, "r")["notes"]
    assert "4 predictions have this id" in note
    assert ", …);" in note
