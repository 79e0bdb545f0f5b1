"""Samples: bounded, counted, picked by request id, and whole after the journey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.monitoring.sample_frames import decode, encode
from penstock.monitoring.samples import MAX_ROW_BYTES, BatchSample, SampleBuffer


def batch(rows_per_request=(1, 2), prefix=b"id"):
    offsets = [0]
    for rows in rows_per_request:
        offsets.append(offsets[-1] + rows)
    total = offsets[-1]
    return BatchSample(
        model="m",
        version="3",
        time=1700000000.5,
        request_ids=[b"%s-%d" % (prefix, n) for n in range(len(rows_per_request))],
        offsets=offsets,
        statuses=[200] * len(rows_per_request),
        latencies=[0.001] * len(rows_per_request),
        input_names=("x", "words", "left out"),
        inputs=[
            np.arange(total * 4, dtype=np.float32).reshape(total, 4),
            np.array([b"w%d" % n for n in range(total)], dtype=object),
            None,
        ],
        output_names=("y",),
        outputs=[np.arange(total, dtype=np.int64)],
    )


@given(
    st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), max_size=30),
    st.integers(0, 40),
    st.integers(0, 2000),
    st.sets(st.integers(0, 30)),
)
def test_every_row_is_drained_pending_or_counted_as_dropped(batches, max_rows, max_bytes, drains):
    buffer = SampleBuffer(max_rows, max_bytes)
    out = 0
    for index, sizes in enumerate(batches):
        buffer.offer(batch(sizes))
        assert buffer.pending_rows <= max_rows
        if index in drains:
            out += sum(one.rows for one in buffer.drain())
    assert buffer.drained_rows == out
    assert buffer.offered_rows == sum(map(sum, batches))
    assert buffer.offered_rows == out + buffer.pending_rows + buffer.dropped_rows


def test_bytes_of_strings_count():
    buffer = SampleBuffer(10, 63)
    assert buffer.offer(batch((2,))) == (2, 0)  # 32 + 4 + 16 bytes
    assert buffer.offer(batch((2,))) == (2, 2)


def test_rate_zero_samples_nothing_and_says_so():
    buffer = SampleBuffer(10, 1000, rate=0.0)
    assert not buffer.enabled
    assert buffer.offer(batch()) == (0, 0)
    assert buffer.drain() == []


def test_a_rate_outside_zero_to_one_is_refused():
    with pytest.raises(ValueError, match="expected 0 to 1"):
        SampleBuffer(1, 1, rate=1.5)


def test_two_buffers_pick_the_same_requests():
    chosen = []
    for _ in range(2):
        buffer = SampleBuffer(10_000, 10_000_000, rate=0.25)
        for index in range(200):
            buffer.offer(batch((1,) * 8, prefix=b"request-%d" % index))
        taken = buffer.drain()
        chosen.append([decode(encode([one]))[0].request_ids for one in taken])
    assert chosen[0] == chosen[1]
    assert sum(map(len, chosen[0])) == pytest.approx(400, rel=0.2)


def test_a_sample_survives_its_journey():
    sample = batch((1, 2))
    (back,) = decode(encode([sample]))
    assert back.request_ids == sample.request_ids
    assert back.offsets == sample.offsets
    assert back.input_names == sample.input_names
    np.testing.assert_array_equal(back.inputs[0], sample.inputs[0])
    np.testing.assert_array_equal(back.inputs[1], sample.inputs[1])
    assert back.inputs[2] is None
    np.testing.assert_array_equal(back.outputs[0], sample.outputs[0])


def test_only_picked_requests_are_sent():
    sample = batch((1, 2, 3))
    sample.picked = [0, 2]
    (back,) = decode(encode([sample]))
    assert back.offsets == [0, 1, 4]
    assert back.request_ids == [b"id-0", b"id-2"]
    np.testing.assert_array_equal(back.outputs[0], [0, 3, 4, 5])


@pytest.mark.parametrize("frame", [b"", b"\xc1", b"\x81\xa1a\x01", b"\x91\x90"])
def test_a_frame_that_is_no_sample_is_refused(frame):
    with pytest.raises(ValueError, match="not a sample frame"):
        decode(frame)


def test_rows_too_large_to_pass_on_are_dropped_and_counted():
    buffer = SampleBuffer(max_rows=100, max_bytes=1 << 30)
    large = batch()
    large.inputs = [np.zeros((3, MAX_ROW_BYTES + 1), np.uint8)]
    assert buffer.offer(large) == (3, 3)
    assert buffer.offer(batch()) == (3, 0)
    assert (buffer.pending_rows, buffer.dropped_rows) == (3, 3)
