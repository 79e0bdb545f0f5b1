"""Where simdjson differs from JSON, its numbers are not taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penstock.server.codecs import numbers

LONG = b"[" + b",".join([b"1.5"] * 1000) + b"]"


@pytest.fixture
def spec(wire_of: Any) -> Any:
    return wire_of(("x", "FP32", (-1, 1000))).inputs["x"]


def test_a_byte_order_mark_is_no_part_of_a_list(spec: Any) -> None:
    assert np.array_equal(numbers.read(LONG, spec, [1, 1000], 1000), np.full((1, 1000), 1.5, "f4"))
    with pytest.raises(numbers.UNUSUAL):
        numbers.read(b"\xef\xbb\xbf" + LONG, spec, [1, 1000], 1000)


DATATYPES = ["FP16", "FP32", "FP64", "INT8", "INT32", "INT64", "UINT16", "UINT64"]


@pytest.mark.parametrize("datatype", DATATYPES)
@pytest.mark.parametrize(
    "rows", [["1,2", "M", "3,4"], ["1", "2,M,3"], ["M,1", "2,3,4"], ["1,2", "3,M"], ["M,M", "1,1"]]
)
def test_a_row_that_brings_the_mark_moves_nobody(
    wire_of: Any, rows: list[str], datatype: str
) -> None:
    """The mark is no secret."""
    spec = wire_of(("x", datatype, (-1, 2))).inputs["x"]
    mark = numbers._MARK_OF[spec.dtype.kind][0].strip(b",")
    texts = [row.encode().replace(b"M", mark) for row in rows]
    with pytest.raises(numbers.UNUSUAL):
        numbers.read_rows(texts, spec, 2)


@pytest.mark.parametrize("datatype", DATATYPES)
def test_rows_between_marks_are_read(wire_of: Any, datatype: str) -> None:
    spec = wire_of(("x", datatype, (-1, 2))).inputs["x"]
    got = numbers.read_rows([b"1,2", b"3, 4"], spec, 2)
    assert got.dtype == spec.dtype
    assert np.array_equal(got, np.array([[1, 2], [3, 4]]))
