"""Tensors in shared memory: what was put there comes back, and what lies is refused."""

from __future__ import annotations

import mmap
import os
import random
from array import array
from pathlib import Path

import numpy as np
import pytest

from penstock.runtimes.datatypes import NUMPY_OF
from penstock.server.isolation.segment import FIRST_BYTES, Segment
from penstock.server.isolation.tensor_memory import TensorMemory
from penstock.server.isolation.tensors import BadTensors, pack_tensors

TEXTS = np.array([[b"", b"a" * 1000], [b"\x00\xff", b"x"]], object)


def there_and_back(*arrays):
    numbers, pieces, size = pack_tensors(arrays)
    tensors = TensorMemory(memoryview(bytearray(size)))
    return tensors.take(tensors.put(numbers, pieces))


@pytest.mark.parametrize("datatype", [one for one in NUMPY_OF if one != "BYTES"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (5, 1, 3)])
def test_any_tensor_comes_back_as_it_was(datatype, shape):
    random_bytes = np.random.default_rng(1).integers(0, 2, shape)
    given = np.asarray(random_bytes).astype(NUMPY_OF[datatype])
    before, back, left_out = there_and_back(TEXTS, given, None)
    assert (back.dtype, back.shape) == (given.dtype, given.shape)
    assert back.tobytes() == given.tobytes()
    assert back.flags.c_contiguous
    assert back.flags.writeable
    assert before.tolist() == TEXTS.tolist()
    assert left_out is None


@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_texts_of_any_shape_come_back(shape):
    given = np.full(shape, b"text", object)
    (back,) = there_and_back(given)
    assert back.shape == shape
    assert back.tolist() == given.tolist()


def test_views_that_are_not_contiguous_come_back():
    given = np.arange(24, dtype=np.int32).reshape(4, 6)[::2, ::3]
    (back,) = there_and_back(given)
    assert back.tolist() == given.tolist()


def test_what_is_taken_does_not_change_with_the_memory():
    numbers, pieces, size = pack_tensors([np.ones(4), TEXTS])
    memory = memoryview(bytearray(size))
    tensors = TensorMemory(memory)
    ones, texts = tensors.take(tensors.put(numbers, pieces))
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
        tensors = TensorMemory(memory)
        tensors.put(numbers, pieces)
        changed = list(numbers)
        for _ in range(dice.randrange(3)):
            changed[dice.randrange(len(changed))] = dice.choice(odd)
        if dice.random() < 0.5:
            at = 64 + 8 * dice.randrange(4)
            memory[at : at + 8] = dice.choice(odd).to_bytes(8, "little", signed=True)
        try:
            taken = tensors.take(array("q", changed).tobytes())
        except (BadTensors, ValueError, OverflowError):
            refused += 1
        else:
            assert sum(one.nbytes for one in taken if one is not None) <= 2 * size
    assert refused > 1000


def made_up(dice):
    """Tensors of few layouts, so that many runs have that of the one before."""
    layouts = [
        [("f4", (2, 3)), ("i8", (2,))],
        [("f4", (3, 2)), ("i8", (2,))],
        [("i4", (2, 3)), ("u8", (2,))],
        [("f4", (2, 3))],
        [("f4", (2, 3)), None],
        [None, ("f4", (2, 3))],
        [("f4", (0, 3)), ("f8", ())],
        [("f4", (2, 3)), "texts"],
        [],
    ]
    found = []
    for one in layouts[dice.integers(len(layouts)) if dice.random() < 0.5 else 0]:
        if one is None:
            found.append(None)
        elif one == "texts":
            texts = np.empty(2, object)
            texts[:] = [b"x" * int(dice.integers(5)), b"y"]
            found.append(texts)
        else:
            dtype, shape = one
            values = np.asarray(dice.integers(0, 100, (2, *shape))).astype(dtype)
            found.append(values.T.copy().T[1, ...])  # a view that is not contiguous
    return found


def test_runs_that_are_alike_or_not_bring_the_tensors_of_each():
    """The plain way, which works everything out anew, is the oracle."""
    dice = np.random.default_rng(5)
    memory = memoryview(bytearray(4096))
    ours, theirs = TensorMemory(memory), TensorMemory(memory)
    again = kept = 0
    earlier = []
    for _ in range(2000):
        arrays = made_up(dice)
        numbers, pieces, _ = pack_tensors(arrays)
        plain = TensorMemory(memory)
        expected = plain.take(plain.put(numbers, pieces))
        memory[:] = bytes(len(memory))
        told = ours.put_again(arrays)
        again += told is not None
        told = ours.put(numbers, pieces) if told is None else told
        assert told == array("q", numbers).tobytes()
        kept += told == theirs._read_numbers
        taken = theirs.take(told)
        for one, other, given in zip(taken, expected, arrays, strict=True):
            if given is None:
                assert one is other is None
                continue
            assert (
                (one.dtype, one.shape) == (other.dtype, other.shape) == (given.dtype, given.shape)
            )
            assert one.tolist() == other.tolist() == given.tolist()
            assert not np.shares_memory(one, np.frombuffer(memory, np.uint8))
        earlier.append((taken, [one if one is None else one.tolist() for one in taken]))
    assert again > 400
    assert kept > 400
    for taken, was in earlier[::50]:  # what was taken stays, whatever came later
        assert [one if one is None else one.tolist() for one in taken] == was


def test_a_memory_that_is_let_go_can_be_closed():
    segment = Segment.create(FIRST_BYTES)
    tensors = TensorMemory(segment.memory)
    numbers, pieces, _ = pack_tensors([np.ones(4)])
    tensors.take(tensors.put(numbers, pieces))
    tensors.forget()
    segment.memory.release()  # raises while an array lies in it
    assert tensors.put_again([np.ones(4)]) is None
    segment.close()


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
