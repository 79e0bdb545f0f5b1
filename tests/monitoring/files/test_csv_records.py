"""Rows of CSV are those of Python's reader, and no row vanishes in a cell that does not end."""

from __future__ import annotations

import csv
import io
import random

import pytest

from penstock.monitoring.files.csv_records import CsvRecords, RowEndUnknown


def lines_of(text):
    return io.StringIO(text, newline="")


def test_rows_that_a_writer_has_written_come_back():
    random.seed(5)
    for _ in range(300):
        width = random.randint(1, 3)
        rows = [
            ["".join(random.choices('a",;\n\r 1', k=random.randint(1, 5))) for _ in range(width)]
            for _ in range(random.randint(0, 6))
        ]
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        for ended in (text.getvalue(), text.getvalue().removesuffix("\r\n")):
            assert list(CsvRecords(lines_of(ended))) == rows


@pytest.mark.parametrize(
    "text", ["", "a", "a\n", '"a"', '"a"\n', "\n\n", 'a,"b\nc"', 'a"b\n', '""']
)
def test_what_ends_is_read_as_python_reads_it(text):
    assert list(CsvRecords(lines_of(text))) == list(csv.reader(lines_of(text)))


@pytest.mark.parametrize("text", ['"', 'a\n"b\nc\n', 'a,"b', 'a\nb,"\n', '"a""'])
def test_a_quoted_cell_that_does_not_end_is_an_error(text):
    assert list(csv.reader(lines_of(text))), "Python takes it, with all rows that are in it"
    with pytest.raises(RowEndUnknown, match="no second one"):
        list(CsvRecords(lines_of(text)))


def test_a_row_without_quotes_that_cannot_be_read_is_an_error_of_that_row():
    records = CsvRecords(["a,b\rc\n", "d,e\n"])
    with pytest.raises(csv.Error, match="unquoted") as failure:
        next(records)
    assert not isinstance(failure.value, RowEndUnknown)
    assert (next(records), records.line_number) == (["d", "e"], 2)


@pytest.mark.parametrize(
    "lines",
    [['a\rb,"x\n', 'y"\n'], ['"' + "x" * csv.field_size_limit() + "\n", "1\n", '2"\n']],
    ids=["behind-the-error", "too-long"],
)
def test_an_error_beside_a_quoted_cell_says_that_the_end_of_the_row_is_not_known(lines):
    with pytest.raises(RowEndUnknown, match="where the row ends"):
        next(CsvRecords([*lines, "3\n"]))


def test_no_line_is_read_before_its_row_is_asked_for():
    lines = iter(["a\n", '"b\n', 'c"\n', "d\n"])
    records = CsvRecords(lines)
    assert [next(records), next(records)] == [["a"], ["b\nc"]]
    assert list(lines) == ["d\n"]
