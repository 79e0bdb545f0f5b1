"""The buffer of samples: bounded, counted, picked by request id."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.monitoring.samples.privacy import Privacy
from penstock.monitoring.samples.run_sample import Failure, Origin, RunSample, array_bytes
from penstock.monitoring.samples.sample_buffer import ENOUGH_ROWS, SampleBuffer
from penstock.monitoring.samples.sample_reader import decode

ORIGIN = Origin("m", "3", ("x",))
FAILURE = Failure(ORIGIN, 1700000000.5, b"id", 400, "invalid_request", 0.001)


def batch(rows_per_request=(1, 2), prefix=b"id"):
    firsts = np.cumsum([0, *rows_per_request])
    total = int(firsts[-1])
    count = len(rows_per_request)
    return RunSample(
        ORIGIN,
        ("y",),
        time=1700000000.5,
        answered=5.0,
        rows=total,
        ids=[b"%s-%d" % (prefix, n) for n in range(count)],
        arrivals=[4.5] * count,
        firsts=None if total == count else firsts[:-1].tolist(),
        arms=None,
        inputs=[np.arange(total * 4, dtype=np.float32).reshape(total, 4)],
        outputs=[np.arange(total, dtype=np.int64)],
    )


def offer(buffer, taken):
    """Rows that were picked, and those of them that found no room."""
    taken = buffer.pick(taken)
    if not taken.rows:
        return 0, 0
    room = buffer.offer(taken, array_bytes((*taken.inputs, *taken.outputs)))
    return taken.rows, 0 if room else taken.rows


def offer_rows(buffer, taken, arrays=None):
    arrays = (*taken.inputs, *taken.outputs) if arrays is None else arrays
    key = taken.origin, taken.output_names
    return buffer.offer_rows(*key, taken.answered, taken.ids, taken.arrivals, arrays)


def drained(buffer):
    rows, frame = buffer.drain()
    assert sum(rows.values()) == sum(sample.rows for sample in decode(frame))
    return sum(rows.values())


@given(
    st.lists(st.lists(st.integers(1, 5), max_size=4), max_size=30),
    st.integers(0, 40),
    st.integers(0, 20_000),
    st.sets(st.integers(0, 30)),
    st.sampled_from([1.0, 0.5]),
)
def test_every_row_is_drained_pending_or_counted_as_dropped(
    batches, max_rows, max_bytes, drains, rate
):
    buffer = SampleBuffer(max_rows, max_bytes, rate)
    out = offered = dropped = 0
    for index, sizes in enumerate(batches):
        if sizes:
            counts = offer(buffer, batch(sizes))
        else:
            counts = 1, 0 if buffer.offer_failure(FAILURE) else 1
        offered, dropped = offered + counts[0], dropped + counts[1]
        assert buffer.pending_rows <= max_rows
        if index in drains:
            out += drained(buffer)
    assert offered == out + buffer.pending_rows + dropped
    if rate == 1.0:
        assert offered == sum(sum(sizes) if sizes else 1 for sizes in batches)


def test_bytes_of_strings_count():
    words = np.array([b"x" * 1000, b"y"], dtype=object)
    assert array_bytes([words, None]) == 1001 + words.nbytes


def test_rate_zero_samples_nothing_and_says_so():
    assert not SampleBuffer(10, 1 << 20, rate=0.0).enabled
    assert SampleBuffer(10, 1 << 20, rate=0.001).enabled


def test_a_rate_outside_zero_to_one_is_refused():
    with pytest.raises(ValueError, match="expected 0 to 1"):
        SampleBuffer(1, 1, rate=1.5)


def test_two_buffers_pick_the_same_requests():
    chosen = []
    for _ in range(2):
        buffer = SampleBuffer(10_000, 10_000_000, rate=0.25)
        for index in range(200):
            offer(buffer, batch((1,) * 8, prefix=b"request-%d" % index))
        (sample,) = decode(buffer.drain()[1])
        chosen.append(sample.request_ids)
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == pytest.approx(400, rel=0.2)


def test_failures_are_taken_at_any_rate():
    buffer = SampleBuffer(10, 1 << 20, rate=0.001)
    assert all(buffer.offer_failure(FAILURE) for _ in range(10))
    assert not buffer.offer_failure(FAILURE)


@pytest.mark.parametrize("short", [False, True])
def test_it_tells_when_the_first_comes_and_when_there_is_enough(short):
    buffer, first, enough = SampleBuffer(10_000, 10_000_000), [], []
    buffer.on_first = lambda: first.append(buffer.pending_rows)
    buffer.on_enough = lambda: enough.append(buffer.pending_rows)
    run = batch((1,) * 100)
    offer(buffer, run)
    while not enough:
        assert (offer_rows(buffer, run) is True) if short else offer(buffer, run)
    assert first == [100]
    assert enough == [buffer.pending_rows]
    assert ENOUGH_ROWS <= buffer.pending_rows < ENOUGH_ROWS + 100


def test_what_is_refused_for_want_of_room_is_not_in_the_frame():
    buffer = SampleBuffer(4, 1 << 20)
    assert offer(buffer, batch((1, 2), prefix=b"in")) == (3, 0)
    assert offer(buffer, batch((1, 1), prefix=b"out")) == (2, 2)
    rows, frame = buffer.drain()
    assert rows == {("m", "3"): 3}
    assert b"in-1" in frame
    assert b"out" not in frame


def test_a_closed_buffer_drops_and_counts():
    buffer = SampleBuffer(100, 1 << 20)
    buffer.close()
    assert offer(buffer, batch((1, 2))) == (3, 3)


def test_rows_like_those_of_the_first_run_take_the_short_way_and_say_the_same():
    whole, short = SampleBuffer(100, 1 << 20), SampleBuffer(100, 1 << 20)
    runs = [batch((1,) * count, prefix=b"%d" % count) for count in (3, 1, 2)]
    for run in runs:
        offer(whole, run)
    assert offer_rows(short, runs[0]) is None
    assert short.pending_rows == 0
    offer(short, runs[0])
    assert [offer_rows(short, run) for run in runs[1:]] == [True, True]
    (expected,), (found,) = (decode(buffer.drain()[1]) for buffer in (whole, short))
    for name in expected.__slots__:
        if name not in {"inputs", "outputs"}:
            assert getattr(found, name) == getattr(expected, name), name
    for name in ("inputs", "outputs"):
        for one, other in zip(getattr(expected, name), getattr(found, name), strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
    assert offer_rows(short, runs[1]) is None, "the next frame knows nothing of the last"


def test_rows_unlike_those_of_the_first_run_are_left_to_the_long_way():
    buffer, run = SampleBuffer(100, 1 << 20), batch((1, 1))
    offer(buffer, run)
    x, y = run.inputs[0], run.outputs[0]
    assert offer_rows(buffer, run, [x[:, :3], y]) is None
    assert offer_rows(buffer, run, [None, y]) is None
    assert buffer.pending_rows == 2


@pytest.mark.parametrize("odd", [None, np.array([b"a", b"b"], dtype=object), np.zeros((3, 2))])
def test_a_version_with_odd_arrays_never_takes_the_short_way(odd):
    buffer, run = SampleBuffer(100, 1 << 20), batch((1, 1))
    run = run._replace(inputs=[odd])
    offer(buffer, run)
    assert offer_rows(buffer, run) is None


def test_rows_that_find_no_room_leave_the_others_as_they_are():
    buffer = SampleBuffer(3, 1 << 20)
    offer(buffer, batch((1, 1)))
    assert offer_rows(buffer, batch((1, 1))) is False
    assert buffer.pending_rows == 2
    assert drained(buffer) == 2


def test_private_fields_never_take_the_short_way():
    origin = Origin("m", "3", ("x",), Privacy(frozenset({"x"}), frozenset(), b"k" * 32))
    buffer, run = SampleBuffer(100, 1 << 20), batch((1, 1))._replace(origin=origin)
    offer(buffer, run)
    assert offer_rows(buffer, run) is None


@pytest.mark.parametrize(
    ("rows_per_request", "most", "ids", "rows"),
    [
        ((1, 1, 1, 1), 3, 3, 3),
        ((2, 3, 4), 5, 2, 5),
        ((2, 3, 4), 8, 2, 5),
        ((7, 1), 3, 1, 3),
        ((9,), 4, 1, 4),
    ],
)
def test_the_beginning_of_a_run_is_whole_requests_or_the_first_rows_of_one(
    rows_per_request, most, ids, rows
):
    whole = batch(rows_per_request)
    some = whole.beginning(most)
    assert (len(some.ids), some.rows) == (ids, rows)
    assert np.array_equal(some.inputs[0], whole.inputs[0][:rows])
    assert np.array_equal(some.outputs[0], whole.outputs[0][:rows])
    buffer = SampleBuffer(100, 10_000)
    assert offer(buffer, some) == (rows, 0)
    assert drained(buffer) == rows


def test_some_requests_of_a_run_have_a_beginning_as_the_whole_has():
    some = batch((2, 3, 4, 1)).only([0, 2, 3])
    first = some.beginning(6)
    assert (first.ids, first.rows) == ([some.ids[0], some.ids[1]], 6)
    assert np.array_equal(first.inputs[0], some.inputs[0][:6])


def test_a_request_that_cannot_be_cut_has_no_beginning():
    whole = batch((5,))
    whole = whole._replace(outputs=[np.zeros((1, 5))])
    assert whole.beginning(3).rows == 0
