"""Reads the rows on which two models must agree: a CSV file with or without a header."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.csv_records import CsvRecords
from penstock.server.files.refusal import ModelRefused

if TYPE_CHECKING:
    from pathlib import Path

_MAX_BYTES: Final = 64 << 20
_MAX_ROWS: Final = 100_000


def read_rows(path: Path) -> Any:
    """The rows as a ``pandas.DataFrame``; an empty field is a missing value.

    A first line that has a field which is no number is the header. A column in which every field is
    a number is one of float64, any other one of texts.

    Raises:
        ModelRefused: It is no such file.
        OSError: It cannot be read.
    """
    import numpy as np
    import pandas as pd

    try:
        lines = list(CsvRecords(io.StringIO(read_bounded(path, _MAX_BYTES).decode())))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ModelRefused(f"{path} is no CSV file in UTF-8: {error}") from error
    lines = [line for line in lines if line]
    header = None if not lines or all(map(_is_number, lines[0])) else lines.pop(0)
    if not lines or len(lines) > _MAX_ROWS:
        raise ModelRefused(f"{path} has {len(lines)} rows, expected 1 to {_MAX_ROWS}")
    width = len(header or lines[0])
    for number, line in enumerate(lines, 1):
        if len(line) != width:
            raise ModelRefused(f"{path}: row {number} has {len(line)} fields, expected {width}")
    columns: dict[str | int, Any] = {}
    for place, fields in enumerate(zip(*lines, strict=True)):
        name = header[place] if header else place
        if all(map(_is_number, fields)):
            columns[name] = np.array([float(one) if one.strip() else np.nan for one in fields])
        else:
            columns[name] = pd.Series([one or None for one in fields], dtype=object)
    if len(columns) != width:
        raise ModelRefused(f"{path}: two columns have one name")
    return pd.DataFrame(columns)


def _is_number(field: str) -> bool:
    try:
        float(field or "nan")
    except ValueError:
        return not field.strip()
    return True
