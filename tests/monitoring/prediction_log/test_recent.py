"""Requests come back out of the log as the arrays that went in."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.monitoring.prediction_log.logged_field import Field
from penstock.monitoring.prediction_log.recent import Wanted, any_since, recent_requests
from penstock.monitoring.prediction_log.seal import seal

NOON = 1_700_049_600.0
INPUTS = (
    Field("x", np.dtype(np.float32), (2,)),
    Field("word", np.dtype(object), (1,)),
)
OUTPUTS = (Field("y", np.dtype(np.int64), ()),)


@pytest.fixture(params=["day file", "sealed"], autouse=True)
def at_rest(request, monkeypatch):
    """Each test runs on the file of a day, and on what it becomes later."""
    if request.param == "sealed":
        monkeypatch.setitem(globals(), "logged", sealed)


def sealed(bench, sample, **changes):
    made = bench()
    made.take(sample(**changes))
    made.commit()
    made.log.close()
    seal(made.state, "2023-11-15", 1 << 30)
    assert not made.day_file().exists()
    return made


def rebuilt(bench, inputs=INPUTS, outputs=OUTPUTS, **wanted):
    asked = {"model": "m", "since": NOON - 3600, "limit": 100, **wanted}
    return recent_requests(bench.state, Wanted(**asked), inputs, outputs)


def logged(bench, sample, **changes):
    """A log with this one sample, as requests rebuilt from it."""
    made = bench()
    made.take(sample(**changes))
    made.commit()
    return made


def one_input(array, *, rows=1):
    """Changes of a sample that has one input and no outputs."""
    count = len(array) // rows
    return {
        "count": count,
        "rows": rows,
        "input_names": ("a",),
        "inputs": [array],
        "output_names": (),
        "outputs": [],
    }


def test_requests_of_several_rows_come_back_in_order(bench, sample):
    made = logged(bench, sample, count=5, rows=3)
    requests, note = rebuilt(made)
    assert note == ""
    assert [one.rows for one in requests] == [3] * 5
    x = np.concatenate([one.inputs["x"] for one in requests])
    words = np.concatenate([one.inputs["word"] for one in requests])
    y = np.concatenate([one.outputs["y"] for one in requests])
    assert (x.dtype, x.shape) == (np.float32, (15, 2))
    assert (x == np.arange(30).reshape(15, 2)).all()
    assert words.ravel().tolist() == [b"w%d" % one for one in range(15)]
    assert y.tolist() == list(range(15))
    assert {one.version for one in requests} == {3}


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (np.array([[1.5, np.nan], [np.nan, np.nan]], np.float64), (2,)),
        (np.array([1.0, np.inf], np.float32), ()),
        (np.array([[True], [False]]), (1,)),
        (np.arange(12, dtype=np.int16).reshape(2, 2, 3), (2, 3)),
        (np.arange(12, dtype=np.float16).reshape(2, 2, 3), (-1, 3)),
        (np.arange(600, dtype=np.uint8).reshape(2, 300), (300,)),
        (np.arange(600, dtype=np.float32).reshape(2, 300), (-1,)),
        (np.array([["a", ""], ["\u00fc", "0"]], object), (2,)),
    ],
)
def test_every_kind_of_array_comes_back_as_it_was(bench, sample, array, shape):
    if array.dtype.hasobject:
        encoded = np.empty(array.shape, object)
        encoded.ravel()[:] = [one.encode() for one in array.ravel()]
        array = encoded
    made = logged(bench, sample, **one_input(array))
    requests, note = rebuilt(made, [Field("a", array.dtype, shape)], [])
    assert note == ""
    found = np.concatenate([one.inputs["a"] for one in requests])
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)


def test_an_optional_input_may_be_left_out(bench, sample):
    made = logged(bench, sample)
    more = (*INPUTS, Field("z", np.dtype(np.float32), (2,), optional=True))
    requests, note = rebuilt(made, more)
    assert (len(requests), note) == (4, "")
    assert all("z" not in one.inputs for one in requests)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({}, Field("z", np.dtype(np.float32), (2,)), "does not hold 'z'"),
        ({}, Field("x", np.dtype(np.float32), (3,)), "does not hold all rows of 'x'"),
        ({}, Field("word", np.dtype(np.float32), (1,)), "hashes of 'word'"),
        ({}, Field("time", np.dtype(np.float32), (1,)), "another name for 'time'"),
        (
            {
                "input_names": ("x.norm", "x.mean"),
                "inputs": [np.zeros(4, np.float32), np.zeros(4, np.float32)],
            },
            Field("x", np.dtype(np.float32), (2000,)),
            "too large for the log",
        ),
    ],
)
def test_what_cannot_be_rebuilt_says_why(bench, sample, changes, field, words):
    made = logged(bench, sample, **changes)
    requests, note = rebuilt(made, [field])
    assert requests == []
    assert words in note


@pytest.mark.parametrize(
    ("array", "dtype", "shape", "kept"),
    [
        (np.array([1, 2]), object, (), []),
        (np.array([1.0, 2.0]), object, (), []),
        (np.array([1.5, 2.0]), np.int64, (), [2]),
        (np.array([300, -1]), np.uint8, (), []),
        (np.array([0, 2]), np.bool_, (), [False]),
        (np.array([2**63, 2**64 - 1], np.uint64), np.uint64, (), []),
        (np.zeros((2, 300)), np.float32, (-1,), []),
    ],
)
def test_what_another_version_took_as_another_type_is_left_out(
    bench, sample, array, dtype, shape, kept
):
    made = logged(bench, sample, **one_input(array))
    requests, note = rebuilt(made, [Field("a", np.dtype(dtype), shape)], [])
    assert "as another type" in note
    assert [one.inputs["a"].item() for one in requests] == kept


def test_requests_of_one_id_in_one_batch_are_not_taken_for_one(bench, sample):
    made = logged(bench, sample, request_ids=[b"a", b"mine", b"mine", b"b"], times=[NOON] * 4)
    requests, note = rebuilt(made)
    assert [one.rows for one in requests] == [1, 1]
    assert "several requests of one id" in note


def test_columns_that_two_fields_share_are_given_to_neither(bench, sample):
    made = logged(bench, sample, **one_input(np.zeros((2, 2), np.float32)))
    fields = [Field("a", np.dtype(np.float32), (2,)), Field("A_1", np.dtype(np.float32), (1,))]
    requests, note = rebuilt(made, fields, [])
    assert requests == []
    assert "another name for 'a_1'" in note
    apart = [
        Field("a", np.dtype(np.float32), (2,)),
        Field("a_x", np.dtype(np.float32), (), optional=True),
    ]
    assert len(rebuilt(made, apart, [])[0]) == 2


def test_requests_are_those_of_the_time_and_the_version_and_spread_over_all(bench, sample):
    made = bench()
    for number in range(50):
        made.take(sample(number=number, time=NOON + number, version=str(1 + number % 2)))
    made.take(sample(number=99, time=NOON - 7200))
    made.commit()
    requests, _ = rebuilt(made, limit=10)
    times = [one.time for one in requests]
    assert len(requests) == 10
    assert times == sorted(times)
    assert times[0] < NOON + 3
    assert times[-1] > NOON + 45
    assert {one.version for one in rebuilt(made, limit=20, version=2)[0]} == {2}
    assert rebuilt(made, since=NOON + 100) == ([], "")
    assert rebuilt(made, model="n") == ([], "")
    assert any_since(made.state, "m", NOON)
    assert not any_since(made.state, "n", NOON)
    assert not any_since(made.state, "m", NOON + 86_400)


def test_failed_requests_have_no_inputs_and_are_left_out(bench, sample):
    made = bench()
    made.take(sample(count=3, statuses=[500] * 3, error="inference_failed"))
    made.take(sample(count=2, number=1))
    made.commit()
    assert len(rebuilt(made)[0]) == 2


def test_a_damaged_sealed_day_hides_no_other_day(bench, sample):
    made = bench()
    made.now = NOON - 86_400
    made.take(sample(time=NOON - 86_400, number=1))
    made.commit()
    made.now = NOON
    made.take(sample(count=3))
    made.commit()
    made.log.close()
    seal(made.state, "2023-11-14", 1 << 30)
    requests, note = rebuilt(made, since=NOON - 100_000)
    assert (len(requests), note) == (7, "")
    (part,) = made.state.glob("parquet/model=m/dt=2023-11-14/part-*.parquet")
    part.write_bytes(part.read_bytes()[:100])
    assert len(rebuilt(made, since=NOON - 100_000)[0]) == 3
