"""Columns of the log have the model's names, and rows come back whatever these are."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import duckdb
import numpy as np
import pytest

from penstock.monitoring.prediction_log import naming
from penstock.monitoring.prediction_log.columns import FIXED, rows_of
from penstock.monitoring.prediction_log.erase import erase
from penstock.monitoring.prediction_log.logged_field import Field
from penstock.monitoring.prediction_log.lookup import find
from penstock.monitoring.prediction_log.query import query
from penstock.monitoring.prediction_log.recent import Wanted, recent_requests
from penstock.monitoring.prediction_log.seal import seal
from penstock.monitoring.prediction_log.search import column_kinds

NOON = 1_700_049_600.0
DAY = 86_400.0
FIELDS = (Field("x", np.dtype(np.float32), (2,)), Field("word", np.dtype(object), (1,)))
OUTPUTS = (Field("y", np.dtype(np.int64), ()),)
NAMES = [
    ("age", "city"),
    ("a b", "A B"),
    ("time", "request_id"),
    ("Digest", "naming"),
    ("select", 'from "t"; --'),
    ("same", "same"),
    ("same_2", "same"),
    ("", "\x00\n"),
    ("Ä", "ä"),
    ("k", "\u212a"),  # lower case of the second is the first, but not for SQLite
    ("x_1", "x_0"),
    ("n" * 300, "n" * 301),
]


def named(sample, columns, **changes):
    return replace(sample(**changes), input_columns={"x": columns})


def columns_of(sample):
    return [name for name, _ in rows_of(sample).columns]


def rebuilt(state, **wanted):
    asked = {"model": "m", "since": NOON - 3600, "limit": 100, **wanted}
    return recent_requests(state, Wanted(**asked), FIELDS, OUTPUTS)


def test_elements_and_classes_are_called_as_the_model_calls_them(sample):
    scores = {"output_names": ("y", "p"), "outputs": [np.zeros(4, np.int64), np.zeros((4, 2))]}
    one = replace(
        named(sample, ("age", "city"), **scores), output_columns={"p": ("p_no", "p_yes"), "y": "z"}
    )
    assert columns_of(one) == ["age", "city", "word", "z", "p_no", "p_yes", naming.NAMING]


@pytest.mark.parametrize("columns", [(), ("age",), ("age", "city", "x"), ("", "")])
def test_names_that_do_not_fit_are_not_used(sample, columns):
    assert columns_of(named(sample, columns)) == ["x_0", "x_1", "word", "y"]


def test_a_name_stays_the_same_if_another_input_is_left_out(sample):
    both = named(sample, ("word", "age"))
    less = replace(both, inputs=[None, both.inputs[1]])
    assert columns_of(both) == ["word", "age", "word_2", "y", naming.NAMING]
    assert columns_of(less) == ["word_2", "y", naming.NAMING]


@pytest.mark.parametrize("columns", NAMES)
@pytest.mark.parametrize("sealed", [False, True], ids=["day file", "sealed"])
def test_any_names_make_columns_and_rows_come_back(bench, sample, columns, sealed):
    log = bench()
    log.take(named(sample, columns))
    log.take(named(sample, columns[::-1], number=1, version="4"))
    log.take(sample(number=2, version="5"))
    log.commit()
    assert log.counts() == (12, {})
    log.log.close()
    if sealed:
        seal(log.state, "2023-11-15", 1 << 30)
    requests, note = rebuilt(log.state)
    assert (len(requests), note) == (12, "")
    check(requests, (3, 4, 5))


def check(requests, versions):
    """Each request is as it was made."""
    for version in versions:
        own = [one for one in requests if one.version == version]
        assert np.concatenate([one.inputs["x"] for one in own]).tolist() == [
            [2.0 * row, 2.0 * row + 1] for row in range(4)
        ]
        words = np.concatenate([one.inputs["word"] for one in own])
        assert words.ravel().tolist() == [b"w0", b"w1", b"w2", b"w3"]
        assert np.concatenate([one.outputs["y"] for one in own]).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("texts_first", [False, True])
@pytest.mark.parametrize("sealed", [False, True], ids=["day file", "sealed"])
def test_numbers_and_texts_of_one_name_are_kept_or_left_out(bench, sample, sealed, texts_first):
    """The column `word` has numbers in one version, and texts in another."""
    log = bench()
    samples = [named(sample, ("word", "age")), sample(number=1, version="5")]
    log.take(*(reversed(samples) if texts_first else samples))
    log.commit()
    statement = "select count(*), count(word) from m where word = 'w1' or version = 3"
    for engine in ("sqlite", "duckdb"):
        assert [tuple(one) for one in query(log.state, statement, 1, engine).rows] == [(5, 5)]
    log.log.close()
    if sealed:
        assert seal(log.state, "2023-11-15", 1 << 30) == 8
    requests, note = rebuilt(log.state)
    kept = [5] if sealed or texts_first else [3, 5]
    assert [one for one in (3, 5) if one in {request.version for request in requests}] == kept
    assert len(kept) == 2 or "hashes of 'x'" in note
    check(requests, kept)


def test_a_column_has_what_its_name_says_whatever_its_place_in_a_version(bench, sample):
    log = bench()
    log.take(named(sample, ("age", "city")), named(sample, ("City", "age"), number=1, version="4"))
    log.commit()
    for engine in ("sqlite", "duckdb"):
        statement = "select version, sum(age), sum(city) from m group by version order by version"
        assert [tuple(one) for one in query(log.state, statement, 10, engine).rows] == [
            (3, 12.0, 16.0),
            (4, 16.0, 12.0),
        ]
    assert "naming" not in column_kinds(log.state, "m")
    assert "naming" not in query(log.state, "select * from m", 1).columns
    (row,) = find(log.state, "m-0-1")[0]
    assert (row["age"], row["city"]) == (2.0, 3.0)
    assert "naming" not in row


def test_days_with_and_without_names_answer_one_query(bench, sample):
    """The first day is sealed, and its columns are numbered; the third spells a name otherwise."""
    log = bench()
    for day, columns in enumerate(((), ("age", "city"), ("Age", "city"))):
        log.now = NOON + day * DAY
        log.take(named(sample, columns, number=day, time=log.now))
        log.commit()
    log.log.close()
    statement = "select count(*), count(x_0), sum(age), sum(city) from m"
    expected = [(12, 4, 24.0, 32.0)]
    answer = query(log.state, statement, 10, "sqlite")
    assert [tuple(one) for one in answer.rows] == expected
    assert "some days of m have numbered columns" in " ".join(answer.notes)
    for day in ("2023-11-15", "2023-11-16"):
        seal(log.state, day, 1 << 30)
        answer = query(log.state, statement, 10, "duckdb")
        assert [tuple(one) for one in answer.rows] == expected
        assert "some days of m have numbered columns" in " ".join(answer.notes)
    requests, note = rebuilt(log.state)
    assert (len(requests), note) == (12, "")


def test_a_day_that_an_earlier_release_began_goes_on(bench, sample):
    log = bench()
    log.take(sample())
    log.commit()
    log.log.close()
    with closing(sqlite3.connect(log.day_file())) as db:
        db.execute(f'drop table "{naming.NAMINGS}"')
    log.log = log.open("epoch", {})
    log.take(named(sample, ("age", "city"), number=1))
    log.commit()
    assert log.select("select count(x_0), count(age), count(*) from m") == [(4, 4, 8)]
    requests, note = rebuilt(log.state)
    assert ([one.inputs["x"].tolist() for one in requests[:2]], note) == ([[[0.0, 1.0]]] * 2, "")


def test_a_row_whose_naming_is_not_known_is_left_out(bench, sample):
    log = bench()
    log.take(sample(), named(sample, ("age", "x_0"), number=1))
    log.commit()
    with closing(sqlite3.connect(log.day_file())) as db:
        db.execute(f"""update "{naming.NAMINGS}" set naming = '{{'""")
        db.commit()
    requests, note = rebuilt(log.state)
    assert len(requests) == 4
    assert "does not hold which columns" in note


@pytest.mark.parametrize("sealed", [False, True], ids=["day file", "sealed"])
def test_a_subject_is_erased_whatever_its_column_is_called(bench, sample, sealed):
    """In one version another input has a column with the name of the subject."""
    log = bench()
    log.take(sample(), named(sample, ("word", "age"), number=1, version="4"))
    called = replace(sample(number=2, version="5"), input_columns={"word": ("customer",)})
    log.take(called)
    log.commit()
    log.log.close()
    if sealed:
        seal(log.state, "2023-11-15", 1 << 30)
    erased = erase(log.state, "m", "word", ["w1", "4.0"])
    assert (erased.rows, erased.without) == (3, 0)
    requests, _ = rebuilt(log.state)
    assert {one.inputs["word"].item() for one in requests} == {b"w0", b"w2", b"w3"}
    counts = query(log.state, "select version, count(*) from m group by version order by 1", 9)
    assert [tuple(one) for one in counts.rows] == [(3, 3), (4, 3), (5, 3)]


def test_a_table_keeps_room_for_numbered_columns(bench, sample):
    """Each version names 200 columns otherwise: beyond 900 of them they are numbered."""
    log = bench()
    for version in range(8):
        one = sample(1, version, version=str(version), inputs=[np.zeros((1, 200)), None])
        names = tuple(f"v{version}_{column}" for column in range(200))
        log.take(replace(one, input_columns={"x": names}))
    log.commit()
    assert log.counts() == (8, {})
    columns = {name for _, name, *_ in log.select("pragma table_info(m)")}
    assert {"v3_199", "x_199"} <= columns
    assert "v4_0" not in columns
    assert log.select("select count(*) from m where x_0 is not null") == [(4,)]


def test_namings_of_a_day_are_bounded(bench, sample, monkeypatch):
    monkeypatch.setattr(naming, "MAX_NAMINGS", 2)
    log = bench()
    for version in range(4):
        log.take(named(sample, (f"a{version}", "b"), number=version, version=str(version)))
    log.commit()
    assert log.counts() == (16, {})
    assert log.select(f'select count(*) from "{naming.NAMINGS}"') == [(2,)]
    requests, note = rebuilt(log.state)
    assert (len(requests), note) == (16, "")


@pytest.mark.parametrize("most", [0, 1])
def test_rows_that_nobody_could_turn_back_or_erase_are_not_logged(bench, sample, monkeypatch, most):
    """An input is called as a fixed column, so that its rows need a naming in any case."""
    monkeypatch.setattr(naming, "MAX_NAMINGS", most)
    log = bench()
    log.take(sample(input_names=("x", "time")))
    log.commit()
    written = 4 if most else 0
    assert log.counts() == (written, {} if most else {"unreadable": 4})
    assert log.select("select count(*) from m") == [(written,)]
    wanted = Wanted(model="m", since=NOON - 3600, limit=100)
    assert len(recent_requests(log.state, wanted, (), OUTPUTS)[0]) == written


def test_many_names_that_are_all_the_same_take_no_long_time(sample):
    names = [f"t{one}" for one in range(5)]
    one = sample(1, input_names=tuple(names), inputs=[np.zeros((1, 200))] * 5, outputs=[None])
    one = replace(one, input_columns=dict.fromkeys(names, ("same",) * 200))
    columns = columns_of(one)
    assert len({column.lower() for column in columns}) == len(columns) == 1001
    assert columns[999] == "same_1000"


def test_a_damaged_file_of_namings_hides_the_requests_and_says_why(bench, sample):
    log = bench()
    log.take(named(sample, ("age", "city")))
    log.commit()
    log.log.close()
    seal(log.state, "2023-11-15", 1 << 30)
    (place,) = log.state.rglob(naming.NAMINGS_FILE)
    assert json.loads(place.read_text())
    parts = [str(one) for one in place.parent.glob("*.parquet")]
    with duckdb.connect() as db:  # as people read it
        assert db.execute("select sum(age) from read_parquet(?)", [parts]).fetchone() == (12.0,)
    place.write_text("{")
    requests, note = rebuilt(log.state)
    assert requests == []
    assert "damaged" in note


def test_fixed_columns_come_first_and_the_naming_last(sample):
    rows = rows_of(named(sample, ("age", "city")))
    assert all(len(row) == len(FIXED) + 5 for row in rows.values)
    assert rows.naming == {"x_0": "age", "x_1": "city", "word": "word", "y": "y"}
