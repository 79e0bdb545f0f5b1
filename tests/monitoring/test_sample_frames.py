"""Samples are whole after the journey, and nothing travels that may not."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest

from penstock.monitoring.samples.privacy import Privacy, hash_value
from penstock.monitoring.samples.run_sample import Failure, Origin, RunSample
from penstock.monitoring.samples.sample_buffer import SampleBuffer
from penstock.monitoring.samples.sample_frames import FrameWriter
from penstock.monitoring.samples.sample_reader import decode

KEY = b"k" * 32
RUN_HEAD = (0, 0, 1.0, 1.0, 2, [b"a", b"b"], [0.5, 0.5], None, None)
ORIGIN_HEAD = (2, 0, "m", "3", ["x"], [], 1.0, 0.0)
ORIGIN = Origin("m", "3", ("x", "words", "left out"))


def batch(rows_per_request=(1, 2), number=0, *, arms=None, origin=ORIGIN):
    firsts = np.cumsum([0, *rows_per_request]).tolist()
    total, count = firsts[-1], len(rows_per_request)
    return RunSample(
        origin,
        ("y",),
        time=1700000000.0 + number,
        answered=100.0 + number,
        rows=total,
        ids=[b"%d-%d" % (number, one) for one in range(count)],
        arrivals=[99.0 + number - one for one in range(count)],
        firsts=None if total == count else firsts[:-1],
        arms=arms,
        inputs=[
            np.arange(total * 4, dtype=np.float32).reshape(total, 4) + 1000 * number,
            np.array([b"w%d\0" % one for one in range(total)], dtype=object),
            None,
        ],
        outputs=[np.arange(total, dtype=np.int64) + 10 * number],
    )


def written(*taken, failures=()):
    writer = FrameWriter(0.5)
    for one in taken:
        writer.write(one)
    for failure in failures:
        writer.write_failure(failure)
    return writer.finish()


def journey(*taken, failures=()):
    return decode(written(*taken, failures=failures)[1])


def test_batches_of_a_version_arrive_as_one_sample():
    (back,) = journey(batch((1, 2)), batch((1, 1), 1), batch((3,), 2))
    assert (back.model, back.version, back.time, back.fraction) == ("m", "3", 1700000002.0, 0.5)
    assert back.request_ids == [b"0-0", b"0-1", b"1-0", b"1-1", b"2-0"]
    assert list(back.offsets) == [0, 1, 3, 4, 5, 8]
    assert back.rows == 8
    assert back.statuses == [200] * 5
    assert back.latencies == [1.0, 2.0, 1.0, 2.0, 1.0]
    assert back.times == [1700000000.0, 1700000000.0, 1700000001.0, 1700000001.0, 1700000002.0]
    assert back.inputs[0].shape == (8, 4)
    assert back.inputs[0][:, 0].tolist() == [0, 4, 8, 1000, 1004, 2000, 2004, 2008]
    assert back.inputs[1].tolist() == [b"w%d\0" % one for one in (0, 1, 2, 0, 1, 0, 1, 2)]
    assert back.inputs[2] is None
    assert back.outputs[0].dtype == np.int64
    assert back.outputs[0].tolist() == [0, 1, 2, 10, 11, 20, 21, 22]


def test_some_of_a_run_travel_alone():
    (back,) = journey(batch((1, 2, 3)).only([0, 2]), batch((1, 1, 1), 1).only([1]))
    assert back.request_ids == [b"0-0", b"0-2", b"1-1"]
    assert list(back.offsets) == [0, 1, 4, 5]
    assert back.outputs[0].tolist() == [0, 3, 4, 5, 11]
    assert back.latencies == [1.0, 3.0, 2.0]


def test_none_of_a_run_leaves_nothing():
    for sizes in ((1, 1), (2, 3)):
        none = batch(sizes).only([])
        assert (none.rows, none.ids, none.firsts or []) == (0, [], [])


def test_a_frame_says_whose_rows_are_in_it_and_the_next_one_begins_afresh():
    other = Origin("m", "4", ORIGIN.input_names)
    failure = Failure(other, 5.0, b"a", 400, "invalid_request", 0.5)
    writer = FrameWriter(1.0)
    for taken in (batch((1, 2)), batch((1,), 1, origin=other), batch((3,), 2)):
        writer.write(taken)
    writer.write_failure(failure)
    assert writer.finish()[0] == {("m", "3"): 6, ("m", "4"): 2}
    writer.write(batch((1,), 3))
    rows, frame = writer.finish()
    assert rows == {("m", "3"): 1}
    assert [one.request_ids for one in decode(frame)] == [[b"3-0"]]


def test_versions_and_sets_of_outputs_arrive_apart():
    other = Origin("m", "4", ORIGIN.input_names)
    less = batch((1,), 2)._replace(output_names=(), outputs=[])
    back = journey(batch((1,)), batch((1,), 1, origin=other), less, batch((1,), 3))
    assert [(one.version, one.output_names) for one in back] == [
        ("3", ("y",)),
        ("4", ("y",)),
        ("3", ()),
    ]
    assert back[0].request_ids == [b"0-0", b"3-0"]


def test_names_of_columns_arrive_with_each_version():
    names = {"x": ("age", "city \u00fc")}, {"y": ("y_no", "y_yes")}
    other = Origin("m", "4", ORIGIN.input_names, input_columns=names[0], output_columns=names[1])
    back = journey(batch((1,)), batch((1, 2), 1, origin=other), batch((1,), 2, origin=other))
    found = [(one.version, dict(one.input_columns), dict(one.output_columns)) for one in back]
    listed = tuple({name: list(own) for name, own in part.items()} for part in names)
    assert found == [("3", {}, {}), ("4", *listed)]


def test_a_frame_of_a_worker_without_names_of_columns_is_read():
    writer = FrameWriter(1.0)
    writer.write(batch((1, 2)))
    parts = msgpack.unpackb(writer.finish()[1])
    origin, *rest = parts
    (back,) = decode(msgpack.packb([origin[:-2], *rest]))
    assert (back.rows, back.input_columns, back.output_columns) == (3, {}, {})


def test_arms_arrive_apart():
    mixed = batch((1, 2, 1), arms=["canary", "stable", "canary"])
    canary, stable = journey(mixed, batch((1,), 1, arms=["stable"]))
    assert (canary.arm, stable.arm) == ("canary", "stable")
    assert canary.outputs[0].tolist() == [0, 3]
    assert stable.outputs[0].tolist() == [1, 2, 10]
    assert list(stable.offsets) == [0, 2, 3]
    assert stable.request_ids == [b"0-1", b"1-0"]
    assert stable.times == [1700000000.0, 1700000001.0]
    assert stable.latencies == [2.0, 1.0]


def test_a_request_that_named_its_version_has_no_arm():
    none, stable = journey(batch((1,)), batch((1,), 1, arms=["stable"]))
    assert (none.arm, stable.arm) == ("", "stable")


@pytest.mark.parametrize(
    "odd",
    [
        np.zeros((1, 5), np.float32),
        np.zeros((1, 4), np.float64),
        None,
    ],
)
def test_arrays_that_do_not_fit_together_arrive_apart(odd):
    other = batch((1,), 1)
    other.inputs[0] = odd
    first, second = journey(batch((1,)), other)
    np.testing.assert_array_equal(first.inputs[0], [[0, 1, 2, 3]])
    if odd is None:
        assert second.inputs[0] is None
    else:
        assert second.inputs[0].dtype == odd.dtype
        assert second.inputs[0].shape == odd.shape


def test_without_a_batch_axis_all_of_an_array_is_one_row():
    taken = batch((1,))
    taken.inputs[0] = np.arange(6, dtype=np.float32).reshape(2, 3)
    (back,) = journey(taken)
    np.testing.assert_array_equal(back.inputs[0], [[[0, 1, 2], [3, 4, 5]]])


def test_clients_arrive_one_for_each_request():
    """One for all, one each, unknown ones, and those that an earlier release did not write."""
    same = batch((1, 2))._replace(clients=[b"a", b"a"])
    each = batch((1, 2, 1), 1)._replace(clients=[b"b", b"", b"c"])
    (back,) = journey(same, batch((1,), 2), each.only([0, 2]))
    assert back.clients == [b"a", b"a", b"", b"b", b"c"]
    assert back.only([0, 4]).clients == [b"a", b"c"]
    (unknown,) = journey(batch((1, 2)), batch((1,), 1)._replace(clients=[b""]))
    assert list(unknown.clients) == []
    parts = msgpack.unpackb(written(same)[1])
    (old,) = decode(msgpack.packb([parts[0], parts[1][:-1]]))
    assert (old.request_ids, list(old.clients)) == ([b"0-0", b"0-1"], [])
    with pytest.raises(ValueError, match="clients are not those of the requests"):
        decode(msgpack.packb([parts[0], [*parts[1][:-1], [b"a"]]]))


def test_failures_that_are_alike_arrive_together():
    failures = [
        Failure(ORIGIN, 5.0, b"a", 400, "invalid_request", 0.5),
        Failure(ORIGIN, 6.0, b"b", 503, "overloaded", 0.25, "canary"),
        Failure(ORIGIN, 7.0, b"c", 400, "invalid_request", 0.75),
    ]
    bad, busy = journey(failures=failures)
    assert (bad.error, bad.statuses, bad.request_ids) == (
        "invalid_request",
        [400, 400],
        [b"a", b"c"],
    )
    assert (bad.rows, bad.times, bad.latencies, bad.inputs) == (2, [5.0, 7.0], [0.5, 0.75], ())
    assert (busy.error, busy.arm, busy.statuses) == ("overloaded", "canary", [503])


def test_dropped_fields_do_not_travel_and_hashed_ones_only_as_hashes():
    private = Privacy(frozenset({"x"}), frozenset({"words", "y"}), KEY)
    origin = Origin("m", "3", ("x", "words", "left out"), private)
    _, frame = written(batch((1, 1), origin=origin))
    assert b"w1\0" not in frame
    (back,) = decode(frame)
    assert back.inputs[0] is None
    assert back.inputs[1].tolist() == [hash_value(b"w0\0", KEY), hash_value(b"w1\0", KEY)]
    assert back.outputs[0].tolist() == [hash_value(0, KEY), hash_value(1, KEY)]


def test_a_row_without_a_batch_axis_is_hashed_whole():
    private = Privacy(frozenset(), frozenset({"x"}), KEY)
    one = batch((1,), origin=Origin("m", "3", ("x", "words", "left out"), private))
    one.inputs[0] = np.arange(6, dtype=np.float32).reshape(2, 3)
    two = batch((1, 1), 1, origin=one.origin)
    two.inputs[0] = one.inputs[0][0]
    first, second = journey(one, two)
    assert first.inputs[0].tolist() == [hash_value(np.arange(6, dtype=np.float32), KEY)]
    assert second.inputs[0] is None  # of two requests: nobody knows whose it is


def test_an_array_of_two_requests_that_cannot_be_told_apart_stays():
    taken = batch((1, 1))
    taken.inputs[0] = np.zeros((3, 4), np.float32)
    (back,) = journey(taken)
    assert back.inputs[0] is None


def test_arrays_travel_whatever_their_memory_looks_like():
    taken = batch((1, 1))
    taken.inputs[0] = np.arange(8, dtype=np.float16).reshape(4, 2).T
    (back,) = journey(taken)
    np.testing.assert_array_equal(back.inputs[0], taken.inputs[0])


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xc1",
        b"\x81\xa1a\x01",
        b"\x91\x90",
        b"\x91\x92\x00\x01",
        b"\x91\x92\x09\x01",
        # An origin, and a run of it whose array has fewer rows than the run.
        msgpack.packb([(*ORIGIN_HEAD, None, []), (*RUN_HEAD, [("f", (1,), b"1234")], [])]),
        # Rows of an origin that says nothing of its columns, and with less data than rows.
        msgpack.packb([(*ORIGIN_HEAD, None, []), (3, 0, 1.0, [b"a"], [0.5], [b"1234"])]),
        msgpack.packb([(*ORIGIN_HEAD, [("f", ())], []), (3, 0, 1.0, [b"a"], [0.5], [b"123"])]),
        msgpack.packb([(*ORIGIN_HEAD, [("f", ())], []), (3, 0, 1.0, [b"a"], [0.5], [])]),
        msgpack.packb([(3, 0, 1.0, [b"a"], [0.5], [])]),
    ],
)
def test_a_frame_that_is_no_sample_is_refused(frame):
    with pytest.raises(ValueError, match="not a sample frame"):
        decode(frame)


def test_rows_of_other_lengths_do_not_meet_though_they_hold_as_many_bytes() -> None:
    origin, outputs = Origin("m", "3", ("a", "b")), ("y",)
    buffer = SampleBuffer(100, 1 << 20)
    sent = []
    for number, (long, short) in enumerate([(2, 4), (1, 5), (3, 3), (2, 4)]):
        arrays = [np.arange(size, dtype=np.float32)[None] + 10 * number for size in (long, short)]
        sent.append(arrays)
        given = arrays, [np.ones((1, 1), np.float32)]
        ids = [b"%d" % number]
        taken = RunSample(origin, outputs, 1.0, 1.0, 1, ids, [0.5], None, None, *given)
        assert buffer.offer(taken, 28)
    back = {}
    for sample in decode(buffer.drain()[1]):
        for row, request_id in enumerate(sample.request_ids):
            back[request_id] = [array[row].tolist() for array in sample.inputs]
    assert back == {
        b"%d" % number: [array[0].tolist() for array in arrays]
        for number, arrays in enumerate(sent)
    }
