"""Queries over day files and sealed days, with both engines, while the log is written."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from penstock.monitoring.databases import asides
from penstock.monitoring.prediction_log.answer import QueryFailed
from penstock.monitoring.prediction_log.lookup import find
from penstock.monitoring.prediction_log.query import query
from penstock.monitoring.prediction_log.seal import EXIT_DAMAGED, main, seal

DAY = 86_400.0


@pytest.fixture
def three_days(bench, sample):
    """Two models on three days; the last is still being written."""
    log = bench()
    for day in range(3):
        time = log.now
        log.take(
            sample(100, day, time=time),
            sample(
                10,
                day,
                time=time,
                model="other",
                input_names=("z",),
                inputs=[np.array([b"\0blob\xff"] * 10, dtype=object)],
            ),
        )
        log.commit()
        if day < 2:
            log.commit(DAY)
    return log


@pytest.fixture(params=["sqlite", "duckdb", "sealed"])
def ask(request, three_days):
    """Query in one of three ways: the answers are the same."""
    engine = request.param
    if engine == "sealed":
        engine = "duckdb"
        for day in ("2023-11-15", "2023-11-16"):
            assert seal(three_days.state, day, 1 << 30) == 110
            assert not three_days.day_file(day).exists()

    def run(statement, limit=1000):
        return query(three_days.state, statement, limit, engine)

    run.log = three_days
    return run


def test_a_model_is_a_table(ask):
    answer = ask("select count(*), sum(x_1), min(word), max(digest) from m")
    assert answer.rows == [(300, 30_000.0, "w0", "sha256:m/3")]
    assert not answer.more


def test_all_models_are_one_table(ask):
    answer = ask(
        "select model, count(*) as n, count(distinct digest) as d"
        " from predictions group by model order by 1"
    )
    assert answer.columns == ["model", "n", "d"]
    assert list(map(tuple, answer.rows)) == [("m", 300, 1), ("other", 30, 1)]


def test_rows_are_as_they_were_logged(ask):
    answer = ask("""select * from m where request_id = 'm-1-7'""")
    row = dict(zip(answer.columns, answer.rows[0], strict=True))
    assert len(answer.rows) == 1
    assert row == {
        "time": pytest.approx(1700049600.0 + DAY + 1.007, abs=3),
        "request_id": "m-1-7",
        "row": 0,
        "version": 3,
        "arm": None,
        "status": 200,
        "error": None,
        "latency": 0.25,
        "fraction": 1.0,
        "x_0": 14.0,
        "x_1": 15.0,
        "word": "w7",
        "y": 7,
        "digest": "sha256:m/3",
    }


def test_days_and_hours(ask):
    answer = ask("select round(time / 86400 - 0.4) as day, count(*) from m group by 1 order by 1")
    assert [count for _, count in answer.rows] == [100, 100, 100]


def test_an_answer_is_bounded_and_says_so(ask):
    answer = ask("select request_id from m", limit=7)
    assert len(answer.rows) == 7
    assert answer.more


@pytest.mark.parametrize(
    "statement",
    [
        "delete from m",
        "drop table m",
        "create table a (b integer)",
        "attach '/tmp/x.db' as x",
        "select 1; select 2",
        "pragma writable_schema = 1",
        "copy m to '/tmp/m1-stolen.csv'",
        "select * from read_text('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select load_extension('/tmp/x.so')",
        "not sql",
        "",
        "select * from nobody",
    ],
)
def test_nothing_but_a_select_over_the_log_is_possible(ask, statement):
    with pytest.raises(QueryFailed):
        ask(statement)


def test_a_prediction_is_found_by_its_id(ask):
    (row,), notes = find(ask.log.state, "other-0-3")
    assert (row["model"], row["version"], row["digest"], row["y"]) == (
        "other",
        3,
        "sha256:other/3",
        3,
    )
    assert row["z"] in (b"\0blob\xff", "\0blob�")
    assert notes == []
    assert find(ask.log.state, "nobody") == ([], [])


def test_a_column_that_a_day_has_not_got_is_empty_there(ask, sample):
    ask.log.take(sample(1, 77, input_names=("age",), inputs=[np.array([5])]))
    ask.log.commit()
    answer = ask("select count(*), count(age), sum(age), count(word) from m")
    assert list(map(tuple, answer.rows)) == [(301, 1, 5, 300)]


def test_an_empty_log_has_no_predictions(tmp_path):
    for engine in ("sqlite", "duckdb"):
        assert list(
            map(tuple, query(tmp_path, "select count(*) from predictions", 10, engine).rows)
        ) == [(0,)]


def test_without_duckdb_sealed_days_are_missed_and_that_is_said(three_days):
    seal(three_days.state, "2023-11-15", 1 << 30)
    answer = query(three_days.state, "select count(*) from m", 10, "sqlite")
    assert answer.rows == [(200,)]
    assert "sealed days are left out" in answer.notes[0]


def test_a_damaged_day_is_told_and_the_others_answer(three_days):
    three_days.day_file("2023-11-16").write_bytes(b"no database" * 1000)
    answer = query(three_days.state, "select count(*) from m", 10)
    assert answer.rows == [(200,)]
    assert "predictions-2023-11-16.db" in answer.notes[0]


def overwrite(path):
    """Damage the pages of the rows of ``m``; the tables can still be listed."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma wal_checkpoint(truncate)")
        (page,) = db.execute("select rootpage from sqlite_master where name = 'm'").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_damaged_day_is_left_out_and_the_others_are_read(three_days, engine):
    three_days.log.close()
    overwrite(three_days.day_file("2023-11-16"))
    answer = query(three_days.state, "select count(x_1) from m", 10, engine)
    assert answer.rows == [(200,)]
    assert any("2023-11-16.db is damaged and was left out" in note for note in answer.notes)
    three_days.day_file("2023-11-15").write_bytes(b"this is no database" * 500)
    answer = query(three_days.state, "select count(x_1) from m", 10, engine)
    assert answer.rows == [(100,)]
    rows, notes = find(three_days.state, "m-2-7")
    assert len(rows) == 1
    assert any("2023-11-15" in note for note in notes)


def test_a_damaged_day_is_set_aside_when_it_is_to_be_sealed(three_days):
    three_days.log.close()
    overwrite(three_days.day_file("2023-11-15"))
    assert main([three_days.state, "2023-11-15", 1 << 30]) == EXIT_DAMAGED
    assert [one.name for one in asides(three_days.state / "log")] == ["predictions-2023-11-15.db"]
    assert main([three_days.state, "2023-11-16", 1 << 30]) == 0
