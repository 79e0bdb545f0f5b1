"""Rows of an answer in the forms in which they leave the process. Pure but for Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.monitoring.distribution import install_command
from penstock.monitoring.offline_duckdb import connect
from penstock.monitoring.prediction_log.answer import QueryFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.monitoring.prediction_log.answer import Answer

#: Characters of a cell on a page.
MAX_SHOWN: Final = 1000
#: File formats of an export, and their media types.
FORMATS: Final = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}


def plain(value: Any, most: int = 0) -> Any:
    """A value as JSON has it: blobs as hexadecimal digits, other types as text.

    Args:
        value: Of SQLite or DuckDB.
        most: Characters of a text; 0 for all.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        value = (value[: most // 2 + 1] if most else value).hex()
    text = str(value)
    return f"{text[:most]}…" if most and len(text) > most else text


def distinct(names: Sequence[str]) -> list[str]:
    """The names, those that come again with a number."""
    taken: dict[str, None] = {}
    for name in names:
        unique, number = name, 2
        while unique in taken:
            unique, number = f"{name}_{number}", number + 1
        taken[unique] = None
    return list(taken)


def file_of(answer: Answer, form: str) -> bytes:
    """The answer as a file of one of `FORMATS`.

    Raises:
        QueryFailed: There is no such format, or DuckDB, which writes Parquet, is not installed.
    """
    names = distinct(answer.columns)
    if form == "csv":
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_cell(one) for one in row] for row in answer.rows)
        return table.getvalue().encode()
    if form == "json":
        lines = (dict(zip(names, map(plain, row), strict=True)) for row in answer.rows)
        return "".join(f"{json.dumps(one)}\n" for one in lines).encode()
    if form == "parquet":
        return _parquet(names, answer.rows)
    raise QueryFailed(f"there is no format {form[:20]!r}; there are {', '.join(FORMATS)}")


def _cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula (CWE-1236)."""
    value = plain(value)
    formula = isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}
    return f"'{value}" if formula else value


def _parquet(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    table = {name: _array(values) for name, values in zip(names, columns, strict=True)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer.parquet"
        try:
            with connect() as db:
                db.register("answer", table)
                db.execute(f"copy answer to '{path}' (format parquet)")
        except ImportError:
            raise QueryFailed(
                f"Parquet takes DuckDB, which is not installed; run: {install_command('analytics')}"
            ) from None
        return path.read_bytes()


def _array(values: Sequence[Any]) -> Any:
    """A column: numbers where all are, missing ones masked; else texts."""
    present = [one for one in values if one is not None]
    for kind, dtype in ((int, np.int64), (float, np.float64)):
        if present and all(type(one) in {int, kind} for one in present):
            try:
                filled = np.array([0 if one is None else one for one in values], dtype)
            except OverflowError:
                continue
            return np.ma.masked_array(filled, [one is None for one in values])
    texts = np.empty(len(values), object)
    texts[:] = [None if one is None else str(plain(one)) for one in values]
    return texts
