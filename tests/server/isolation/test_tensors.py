"""Tensors in shared memory: what was put there comes back, and what lies is refused."""

from __future__ import annotations

import mmap
import os
import random
from pathlib import Path

import numpy as np
import pytest

from penstock.runtimes.datatypes import NUMPY_OF
from penstock.server.isolation.segment import FIRST_BYTES, Segment
from penstock.server.isolation.tensors import BadTensors, pack_tensors, put_tensors, take_tensors

TEXTS = np.array([[b"", b"a" * 1000], [b"\x00\xff", b"x"]], object)


def there_and_back(*arrays):
    numbers, pieces, size = pack_tensors(arrays)
    memory = memoryview(bytearray(size))
    put_tensors(memory, pieces)
    return take_tensors(memory, numbers)


@pytest.mark.parametrize("datatype", [one for one in NUMPY_OF if one != "BYTES"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (5, 1, 3)])
def test_any_tensor_comes_back_as_it_was(datatype, shape):
    random_bytes = np.random.default_rng(1).integers(0, 2, shape)
    array = np.asarray(random_bytes).astype(NUMPY_OF[datatype])
    before, back, left_out = there_and_back(TEXTS, array, None)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()
    assert back.flags.c_contiguous
    assert back.flags.writeable
    assert before.tolist() == TEXTS.tolist()
    assert left_out is None


@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_texts_of_any_shape_come_back(shape):
    array = np.full(shape, b"text", object)
    (back,) = there_and_back(array)
    assert back.shape == shape
    assert back.tolist() == array.tolist()


def test_views_that_are_not_contiguous_come_back():
    array = np.arange(24, dtype=np.int32).reshape(4, 6)[::2, ::3]
    (back,) = there_and_back(array)
    assert back.tolist() == array.tolist()


def test_what_is_taken_does_not_change_with_the_memory():
    numbers, pieces, size = pack_tensors([np.ones(4), TEXTS])
    memory = memoryview(bytearray(size))
    put_tensors(memory, pieces)
    ones, texts = take_tensors(memory, numbers)
    memory[:] = bytes(size)
    assert ones.tolist() == [1.0] * 4
    assert texts.tolist() == TEXTS.tolist()


def test_numbers_that_lie_are_refused_or_stay_in_the_memory():
    """Any change of any number, and of the length of any text."""
    dice = random.Random(3)
    numbers, pieces, size = pack_tensors([np.ones((2, 3), np.float32), TEXTS])
    odd = (-1, -(2**63), 2**63 - 1, 2**62, 2**32, 2**31, 64, 12, 1, 0)
    refused = 0
    for _ in range(3000):
        memory = memoryview(bytearray(size))
        put_tensors(memory, pieces)
        changed = list(numbers)
        for _ in range(dice.randrange(3)):
            changed[dice.randrange(len(changed))] = dice.choice(odd)
        if dice.random() < 0.5:
            at = 64 + 8 * dice.randrange(4)
            memory[at : at + 8] = dice.choice(odd).to_bytes(8, "little", signed=True)
        try:
            taken = take_tensors(memory, changed)
        except (BadTensors, ValueError, OverflowError):
            refused += 1
        else:
            assert sum(one.nbytes for one in taken if one is not None) <= 2 * size
    assert refused > 1000


def test_a_segment_cannot_be_cut_short_and_is_in_no_directory():
    segment = Segment.create(FIRST_BYTES + 1)
    assert segment.size == FIRST_BYTES + mmap.PAGESIZE
    for size in (0, segment.size - 1, segment.size + mmap.PAGESIZE):
        with pytest.raises(PermissionError):
            os.ftruncate(segment.descriptor, size)
    other = Segment(os.dup(segment.descriptor))
    other.memory[:5] = b"hello"
    assert bytes(segment.memory[:5]) == b"hello"
    assert str(Path(f"/proc/self/fd/{segment.descriptor}").readlink()).startswith("/memfd:")
    other.close()
    segment.close()
