import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from penstock.server.shadow_copies.batches import CopiedBatch, Writer, decode
from penstock.server.shadow_copies.envelope import (
    BadEnvelope,
    Envelope,
    envelope_head,
    hello,
    read_envelope,
    read_hello,
)

ARRAYS = st.none() | st.sampled_from(["float16", "float32", "int64", "bool", "uint8"]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
)


def batch(inputs, outputs, seconds=0.5):
    names = [f"in{i}" for i in range(len(inputs))]
    return CopiedBatch(
        [b"a", b"b"], [0, 1, 3], names, inputs, [f"out{i}" for i in range(len(outputs))], outputs,
        seconds,
    )  # fmt: skip


def there_and_back(*batches):
    writer = Writer()
    for one in batches:
        writer.add(one)
    size = writer.size
    content = b"".join(writer.pieces())
    assert len(content) == size
    assert writer.size == 0
    assert writer.pieces() == []
    # As the runner has it, which gives bytearrays that begin anywhere.
    return decode(memoryview(bytearray(content)))


def assert_same(actual, expected):
    if expected is None:
        assert actual is None
        return
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert actual.tobytes() == expected.tobytes() or (actual == expected).all()


@given(st.lists(ARRAYS, max_size=3), st.lists(ARRAYS.filter(lambda a: a is not None), max_size=3))
def test_batches_arrive_as_they_were(inputs, outputs):
    first, second = there_and_back(batch(inputs, outputs), batch(outputs, outputs, 0.25))
    assert (first.seconds, second.seconds) == (0.5, 0.25)
    assert first.request_ids == [b"a", b"b"]
    assert (first.offsets, first.rows) == ([0, 1, 3], 3)
    for actual, expected in zip([*first.inputs, *first.outputs], [*inputs, *outputs], strict=True):
        assert_same(actual, expected)
    for actual, expected in zip(second.outputs, outputs, strict=True):
        assert_same(actual, expected)


def test_large_arrays_and_strings_arrive_too():
    large = np.arange(100_000, dtype=np.float32).reshape(100, 1000)
    strings = np.array([[b"a", b"\xff"], [b"", b"longer"]], dtype=object)
    [arrived] = there_and_back(batch([large, strings], [large[::2], large.T]))
    assert_same(arrived.inputs[0], large)
    assert_same(arrived.inputs[1], strings)
    assert_same(arrived.outputs[0], np.ascontiguousarray(large[::2]))
    assert_same(arrived.outputs[1], np.ascontiguousarray(large.T))


def test_large_arrays_are_not_copied_to_be_sent():
    large = np.zeros(100_000)
    writer = Writer()
    writer.add(batch([large], [np.zeros(3)]))
    pieces = [piece for piece in writer.pieces() if isinstance(piece, memoryview)]
    assert [np.shares_memory(np.frombuffer(piece, np.uint8), large) for piece in pieces] == [True]


def test_what_is_no_batch_is_refused():
    with pytest.raises(ValueError, match="not a copied batch"):
        decode(memoryview(b"\x00\x00\x00\x01\xc0"))


def fed(data):
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


def test_envelopes_arrive_with_their_sizes():
    async def main():
        sizes = [(1, 3), (2, 2)]
        data = hello("räuber-1") + envelope_head(sizes, 0.25, 5) + b"12345"
        reader = fed(data + data[:-2])
        assert await read_hello(reader) == "räuber-1"
        envelope = await read_envelope(reader)
        assert envelope == Envelope(sizes, 0.25, b"12345")
        assert await read_hello(reader) == "räuber-1"
        with pytest.raises(asyncio.IncompleteReadError):
            await read_envelope(reader)

    asyncio.run(main())


@pytest.mark.parametrize("head", [b"\xff" * 10, b"\x00" * 10])
def test_what_cannot_be_an_envelope_is_refused(head):
    with pytest.raises(BadEnvelope):
        asyncio.run(read_envelope_of(head))


async def read_envelope_of(data):
    return await read_envelope(fed(data))


def test_what_cannot_be_an_id_is_refused():
    async def main():
        await read_hello(fed(b"\x00\x01\xff"))

    with pytest.raises(BadEnvelope):
        asyncio.run(main())
