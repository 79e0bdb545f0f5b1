"""The quick way to tensors gives the elements of the plain way, which reads each row alone."""

from __future__ import annotations

import csv
import io
import random

import numpy as np
import pytest

from penstock.runtimes.contract import Column, Signature, TensorSpec
from penstock.server.batch_job.chunk import Chunk, Position
from penstock.server.batch_job.csv_input import CsvInput
from penstock.server.batch_job.input_columns import InputColumns
from penstock.server.batch_job.row_encoder import RowEncoder
from penstock.server.codecs.csv_rows import read_rows
from penstock.server.codecs.row_arrays import arrays_of
from penstock.server.codecs.signature import WireSignature
from penstock.server.errors import ApiError

NAMES = ("a", "b", "c")
GOOD = [
    "0",
    "-0",
    "-0.0",
    "1.5",
    ".5",
    "5.",
    "+7",
    "1e-3",
    "3.4028235e38",
    "1e-50",
    "16777217",
    "0.1",
]
ODD = ["", " 1", "1_000", "nan", "inf", "1e999", "1e39", "٣", "x", "0x1", "1e", "--1", "e5", "."]


def wire(datatype, *, named, missing):
    columns = tuple(Column(name, missing=missing) for name in NAMES) if named else ()
    spec = TensorSpec("x", datatype, (-1, 3), columns=columns)
    signature = Signature((spec,), (TensorSpec("y", "FP32", (-1,)),), batch_axis=True)
    return WireSignature(signature, "m", "1")


def plainly(signature, cells):
    """The row by the codec of requests; ``None`` for one that it refuses."""
    line = io.StringIO()
    csv.writer(line).writerows([NAMES, cells])
    try:
        (row,) = read_rows(line.getvalue().encode(), signature.row_columns)
        return arrays_of([row], signature.row_columns, signature)[0]
    except ApiError:
        return None


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "INT32"])
@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
@pytest.mark.parametrize("missing", [False, True], ids=["needed", "missing"])
def test_csv_means_what_it_means_in_a_request(tmp_path, datatype, named, missing):
    signature = wire(datatype, named=named, missing=missing)
    rng = random.Random(1)
    for odd in (0, 0, 0.02, 0.3):
        rows = [
            [rng.choice(ODD if rng.random() < odd else GOOD[: 6 if odd else None]) for _ in NAMES]
            for _ in range(60)
        ]
        path = tmp_path / "in.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([NAMES, *rows])
        columns = InputColumns(NAMES, by_input=False, carried=())
        (chunk,) = CsvInput(path).chunks(Position(0, 0), 1000, columns, signature)
        good, (found, *_), errors = RowEncoder(signature, columns).encode(chunk)
        expected = [plainly(signature, row) for row in rows]
        assert good == [at for at, one in enumerate(expected) if one is not None]
        assert set(errors) == set(range(60)) - set(good)
        if good:
            wanted = np.concatenate([expected[at] for at in good])
            assert found.dtype == wanted.dtype
            assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_arrays_are_rounded_as_single_values_are(datatype):
    signature = wire(datatype, named=True, missing=False)
    rng = np.random.default_rng(2)
    columns = InputColumns(NAMES, by_input=False, carried=())
    kinds = [
        [
            rng.normal(0, 1e3, 200),
            rng.normal(0, 1, 200).astype(np.float32),
            rng.integers(0, 9, 200),
        ],
        [np.array([np.nan, np.inf, -np.inf]), np.array([1, 2, 3]), np.array([0.1, 1e-300, -0.0])],
        [np.array([1e300, 1.0, 7e4]), np.array([2**63], np.uint64).repeat(3), np.zeros(3)],
    ]
    for cells in kinds:
        chunk = Chunk(Position(0, 0), Position(len(cells[0]), 0), cells, {})
        good, (found, *_), _ = RowEncoder(signature, columns).encode(chunk)
        for at, row in enumerate(zip(*(one.tolist() for one in cells), strict=True)):
            try:
                (wanted,) = arrays_of([list(row)], signature.row_columns, signature)
            except ApiError:
                assert at not in good
            else:
                assert found[good.index(at)].tobytes() == wanted.tobytes()
