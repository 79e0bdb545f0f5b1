"""Held-out rows of a model: their columns, and the true value of each row."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.csv_records import CsvRecords
from penstock.server.files.refusal import ModelRefused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from penstock.monitoring.feedback.intervals import Units
    from penstock.server.config.gates_options import EvaluationOptions

MAX_BYTES: Final = 256 << 20
MAX_ROWS: Final = 200_000


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Rows that no version has learnt from.

    Attributes:
        records: The columns of the model, by name: values of JSON, or the cells of a CSV file.
        labels: The true value of each row.
        slices: By column, the value of each row as text.
        units: Number of the unit of each row, from 0; ``None`` where each is one by itself.
        is_text: Whether the values are cells of a CSV file.
        sha256: Of the file, in hexadecimal digits.
    """

    records: Sequence[dict[str, Any]]
    labels: Sequence[Any]
    slices: dict[str, list[str]] = field(default_factory=dict)
    units: Units = None
    is_text: bool = False
    sha256: str = ""

    def beginning(self, rows: int) -> HeldOut:
        """The columns of the model of the first rows."""
        return HeldOut(self.records[:rows], self.labels[:rows], is_text=self.is_text)


def read_heldout(path: Path, options: EvaluationOptions) -> HeldOut:
    """Read a file of held-out rows. Blocking.

    A row without a label is an error: who leaves rows out decides the figure. A column of slices
    may be a column of the model, too; those of labels and units are none.

    Args:
        path: A CSV file with a heading, or one JSON object a line, in UTF-8.
        options: Which columns are what.

    Raises:
        ModelRefused: It is no such file, or lacks a column; the message names the place.
        OSError: It cannot be read.
    """
    content = read_bounded(path, MAX_BYTES)
    is_text = path.suffix.lower() == ".csv"
    try:
        text = content.decode("utf-8-sig")
        rows = _cells(text, path) if is_text else _objects(text, path)
    except UnicodeDecodeError as error:
        raise ModelRefused(f"{path} is not in UTF-8: {error}") from None
    if not rows:
        raise ModelRefused(f"{path} has no rows")
    if len(rows) > MAX_ROWS:
        raise ModelRefused(f"{path} has {len(rows)} rows, expected at most {MAX_ROWS}")
    labels = [row.pop(options.label, None) for row in rows]
    for number, label in enumerate(labels, 1):
        if label is None or label == "":
            raise ModelRefused(f"{path}: row {number} has no label in column {options.label!r}")
    slices = {name: _column(rows, name, path) for name in options.slices}
    units = None
    if options.unit:
        units = _numbers(_column(rows, options.unit, path))
        for row in rows:
            del row[options.unit]
    return HeldOut(
        rows,
        labels,
        slices,
        units,
        is_text,
        hashlib.sha256(content).hexdigest(),
    )


def _cells(text: str, path: Path) -> list[dict[str, Any]]:
    try:
        lines = [line for line in CsvRecords(io.StringIO(text, newline="")) if line]
    except csv.Error as error:
        raise ModelRefused(f"{path} is no CSV file: {error}") from None
    if not lines:
        return []
    heading, *lines = lines
    if len(set(heading)) < len(heading):
        raise ModelRefused(f"{path}: two columns have one name")
    for number, line in enumerate(lines, 1):
        if len(line) != len(heading):
            raise ModelRefused(
                f"{path}: row {number} has {len(line)} cells, the heading has {len(heading)}"
            )
    return [dict(zip(heading, line, strict=True)) for line in lines]


def _objects(text: str, path: Path) -> list[dict[str, Any]]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise ModelRefused(f"{path}: line {number} is no JSON object")
        found.append(row)
    return found


def _column(rows: Sequence[dict[str, Any]], name: str, path: Path) -> list[str]:
    for number, row in enumerate(rows, 1):
        if name not in row:
            raise ModelRefused(f"{path}: row {number} has no column {name!r}")
    return ["" if row[name] is None else str(row[name]) for row in rows]


def _numbers(names: Sequence[str]) -> Units:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)
