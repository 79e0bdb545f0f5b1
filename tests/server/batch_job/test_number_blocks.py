"""CSV as columns against the reader of single rows: equal values, texts, errors and places."""

from __future__ import annotations

import random

import numpy as np
import pytest

from penstock.runtimes.contract import Column, Signature, TensorSpec
from penstock.server.batch_job import number_blocks
from penstock.server.batch_job.chunk import Position
from penstock.server.batch_job.csv_input import CsvInput
from penstock.server.batch_job.input_columns import InputColumns
from penstock.server.batch_job.number_blocks import NumberBlocks
from penstock.server.codecs.signature import WireSignature

BEGIN = Position(0, 0)
COLUMNS = InputColumns(("a", "b"), by_input=False, carried=("id", "a"))
#: Texts that some reader of numbers takes and another does not, or takes otherwise.
ODD = ["-0", "-0.0", "0", "+1", ".5", "5.", "01", "1e5", "1E-7", "1e400", "-1e-400", "nan", "inf",
       "", " 1", "1 ", "\t2", "1_0", "0x1p3", "0x10", "1d3", "1e", "--1", "-", ".", "\u0661",
       "true", "null", "1\x0b", "\xa01", "9007199254740993", "123456789012345678901234567890",
       "0.1000000000000000055511151231257827", "4.9e-324", "2.4703282292062328e-324",
       "1.7976931348623159e308", '"3"', "Infinity", "1e+05", "é"]  # fmt: skip


@pytest.fixture(autouse=True)
def files_of_any_size(monkeypatch):
    """A small file is read as blocks, too."""
    monkeypatch.setattr(number_blocks, "LEAST_FILE_BYTES", 0)


def wire():
    columns = (Column("a", None, missing=True), Column("b", None, missing=False))
    spec = TensorSpec("x", "FP64", (-1, 2), columns=columns)
    output = TensorSpec("y", "FP64", (-1, 1))
    return WireSignature(Signature((spec,), (output,), batch_axis=True), "m", "1")


def read(path, size, start=BEGIN):
    """Every row: its number, its values with their types, what is carried, and its problem."""
    rows, end = [], start
    for chunk in CsvInput(path).chunks(start, size, COLUMNS, wire()):
        assert chunk.start == end or not rows
        assert 0 < chunk.count <= size
        end = chunk.end
        for at in range(chunk.count):
            cells = [one[at] for one in chunk.cells]
            carried = {name: values[at] for name, values in chunk.carried.items()}
            problem = chunk.problems.get(at)
            shown = None if problem else ([bits(one) for one in cells], carried)
            rows.append((chunk.start.row + at, shown, problem))
    return rows, end


def bits(value):
    """A number by its bits as a double, whatever its type: so a tensor gets it."""
    if isinstance(value, int | float | np.floating):
        try:
            return np.float64(value).tobytes()
        except OverflowError:
            return value
    return value


def by_rows(monkeypatch, *arguments):
    with monkeypatch.context() as patch:
        patch.setattr(NumberBlocks, "read", lambda *_: None)
        return read(*arguments)


def cell(chance, oddness):
    if chance.random() < oddness:
        return chance.choice(ODD)
    return repr(chance.choice([chance.gauss(0, 1e3), chance.randrange(-99, 99), 1e-9]))


@pytest.mark.parametrize("seed", range(60))
def test_blocks_and_single_rows_give_the_same(tmp_path, monkeypatch, seed):
    chance = random.Random(seed)
    oddness = chance.choice([0.0, 0.002, 0.2])
    end = chance.choice(["\n", "\n", "\r\n"])
    lines = ["id,a,b"]
    for at in range(chance.choice([3, 400])):
        cells = [f"p{at}", cell(chance, oddness), cell(chance, oddness)]
        kind = chance.random()
        if kind < oddness / 4:
            cells = chance.choice([[], cells[:2], [*cells, "1"]])
        lines.append(",".join(cells))
    content = end.join(lines) + chance.choice(["", end, end * 2])
    path = tmp_path / "in.csv"
    path.write_bytes(content.encode() + (b"p\xff,1,2\n" if chance.random() < oddness else b""))
    size = chance.choice([1, 7, 64, 10_000])
    rows, end_place = read(path, size)
    expected, expected_place = by_rows(monkeypatch, path, size)
    assert rows == expected
    assert end_place.row == expected_place.row
    # A job that was killed goes on behind any chunk, by either reader.
    places = [one.end for one in CsvInput(path).chunks(BEGIN, size, COLUMNS, wire())]
    for place in chance.sample(places, min(3, len(places))):
        assert read(path, size, place)[0] == rows[place.row :]
        assert by_rows(monkeypatch, path, size, place)[0] == rows[place.row :]


def test_a_carriage_return_within_a_row_is_left_to_the_reader_of_rows(tmp_path, monkeypatch):
    path = tmp_path / "in.csv"
    path.write_bytes(b"id,a,b\n" + b"k,1,2\n" * 50 + b"x\ry,1,2\n" + b"k,1,2\n" * 50)
    rows, _ = read(path, 7)
    assert rows == by_rows(monkeypatch, path, 7)[0]
    assert [number for number, _, problem in rows if problem] == [50]


def test_plain_rows_are_read_as_blocks(tmp_path, monkeypatch):
    path = tmp_path / "in.csv"
    path.write_text("id,a,b\n" + "k,1.5,-2\n" * 5000)
    groups = []
    monkeypatch.setattr(CsvInput, "_groups", lambda *_: groups.append(1) or iter(()))
    rows, end = read(path, 1000)
    assert (len(rows), end) == (5000, Position(5000, path.stat().st_size))
    assert len(groups) == 1, "only to see that nothing follows"
