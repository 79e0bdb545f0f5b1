"""Where simdjson differs from JSON, its numbers are not taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penstock.server.http.codecs import numbers

LONG = b"[" + b",".join([b"1.5"] * 1000) + b"]"


@pytest.fixture
def spec(wire_of: Any) -> Any:
    return wire_of(("x", "FP32", (-1, 1000))).inputs["x"]


def test_a_byte_order_mark_is_no_part_of_a_list(spec: Any) -> None:
    assert np.array_equal(numbers.read(LONG, spec, [1, 1000], 1000), np.full((1, 1000), 1.5, "f4"))
    with pytest.raises(numbers.UNUSUAL):
        numbers.read(b"\xef\xbb\xbf" + LONG, spec, [1, 1000], 1000)


@pytest.mark.parametrize("rows", [[b"1,2", b"7", b"3,4"], [b"1", b"2,7,3"], [b"7,1", b"2,3,4"]])
def test_a_row_that_brings_the_mark_moves_nobody(wire_of: Any, rows: list[bytes]) -> None:
    spec = wire_of(("x", "FP32", (-1, 2))).inputs["x"]
    text = b"[" + b"".join([row + b",7," for row in rows])[:-1] + b"]"
    with pytest.raises(numbers.UNUSUAL):
        numbers.read_rows(text, spec, len(rows), 2, 7)


def test_rows_between_marks_are_read(wire_of: Any) -> None:
    spec = wire_of(("x", "FP32", (-1, 2))).inputs["x"]
    got = numbers.read_rows(b"[1,2,7,3,4,7]", spec, 2, 2, 7)
    assert np.array_equal(got, np.array([[1, 2], [3, 4]], np.float32))
