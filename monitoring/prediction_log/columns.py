"""Makes table rows of samples: one typed column per scalar, while there are few enough."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .naming import NAMING, TakenNames, number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from penstock.monitoring.samples.samples import Array, BatchSample

    from .naming import Naming

#: A row of a tensor with more elements is one blob, next to its shape.
MAX_SCALARS: Final = 200
#: Of a table; SQLite allows 2000, and what a caller names is not unlimited either.
MAX_COLUMNS: Final = 1000

#: What every table has, and their types in SQL.
FIXED: Final = (
    ("time", "REAL"),
    ("request_id", "TEXT"),
    ("row", "INTEGER"),
    ("version", "INTEGER"),
    ("arm", "TEXT"),
    ("status", "INTEGER"),
    ("error", "TEXT"),
    ("latency", "REAL"),
    ("fraction", "REAL"),
)
#: Names that no input or output has: of the fixed columns, and of those that queries add.
_RESERVED: Final = frozenset({*(name for name, _ in FIXED), "model", "digest", NAMING})
_TYPES: Final = {"b": "INTEGER", "i": "INTEGER", "u": "INTEGER", "f": "REAL", "O": "TEXT"}
#: Of the fixed columns and the entries of the indexes.
_FIXED_BYTES: Final = 150
_LARGEST: Final = (1 << 63) - 1


@dataclass(slots=True)
class Rows:
    """Rows to be inserted.

    Attributes:
        columns: Names and types of SQL behind the fixed ones.
        values: One tuple per row: the fixed columns, then these.
        count: Number of rows.
        naming: See `penstock.monitoring.prediction_log.naming`; empty if the rows need none.
    """

    columns: list[tuple[str, str]]
    values: Iterator[tuple[Any, ...]]
    count: int
    naming: Naming


def row_bytes(sample: BatchSample) -> int:
    """Bytes of a row of a sample in a file, roughly, and rather too many than too few."""
    total = _FIXED_BYTES
    for array in (*sample.inputs, *sample.outputs):
        if array is not None and len(array):
            if array.dtype.hasobject:
                total += sum(map(len, array.ravel().tolist())) // len(array) + 8
            else:
                total += min(9 * (array.size // len(array)), array.nbytes // len(array) + 32) + 9
    return total


def rows_of(sample: BatchSample, share: float = 1.0, *, named: bool = True) -> Rows:
    """The rows of a sample.

    Args:
        sample: Answered or failed requests.
        share: The part of its rows that is written at all.
        named: Whether columns have the model's names.
    """
    columns: list[tuple[str, str]] = []
    values: list[Iterable[Any]] = []
    naming: dict[str, str] = {}
    for plain, unique, kind, cells in _columns(sample, named=named):
        if len(columns) == MAX_COLUMNS:
            break
        columns.append((unique, kind))
        values.append(cells)
        # Two values of one name are told apart by nobody.
        naming[plain.lower()] = "" if plain.lower() in naming else unique
    naming = {plain: unique for plain, unique in naming.items() if unique}
    if len(naming) == len(columns) and all(one == two.lower() for one, two in naming.items()):
        naming = {}
    else:
        columns.append((NAMING, "INTEGER"))
        values.append(repeat(number_of(naming)))
    return Rows(columns, zip(*_fixed(sample, share), *values, strict=False), sample.rows, naming)


def _columns(sample: BatchSample, *, named: bool) -> Iterator[tuple[str, str, str, Iterable[Any]]]:
    """All columns: the name without the model's names, the name, the type, a value per row."""
    taken = TakenNames(_RESERVED)
    for names, arrays, named_elements in (
        (sample.input_names, sample.inputs, sample.input_columns),
        (sample.output_names, sample.outputs, sample.output_columns),
    ):
        for name, array in zip(names, arrays, strict=True):
            elements = named_elements.get(name, ()) if named else ()
            if array is None:
                for one in filter(None, elements):  # the others are called the same without it
                    taken.take(one)
                continue
            found = list(_cells(name, array))
            if len(elements) != len(found) or found[0][1] == "BLOB":
                elements = [""] * len(found)
            for element, (plain, kind, cells) in zip(elements, found, strict=True):
                yield plain, taken.take(element or plain), kind, cells


def _fixed(sample: BatchSample, share: float) -> tuple[Iterable[Any], ...]:
    """The values of the fixed columns, in order."""
    ids = [one.decode("latin-1") for one in sample.request_ids]
    per_request: list[Sequence[Any]] = [sample.times, ids, sample.statuses, sample.latencies]
    index: Iterable[int] = repeat(0)
    if sample.rows != len(ids):
        counts = np.diff(sample.offsets)
        owners = np.repeat(np.arange(len(ids)), counts).tolist()
        per_request = [[one[owner] for owner in owners] for one in per_request]
        index = (np.arange(sample.rows) - np.repeat(sample.offsets[:-1], counts)).tolist()
    times, owned_ids, statuses, latencies = per_request
    version, fraction = repeat(sample.version), repeat(sample.fraction * share)
    arm, error = repeat(sample.arm or None), repeat(sample.error or None)
    return times, owned_ids, index, version, arm, statuses, error, latencies, fraction


def _cells(name: str, array: Array) -> Iterator[tuple[str, str, Iterable[Any]]]:
    """Columns of one tensor: name, type, a value per row."""
    rows = len(array)
    size = array.size // rows if rows else 0
    kind = array.dtype.kind
    if 1 <= size <= MAX_SCALARS and kind in _TYPES:
        flat = array.reshape(rows, size)
        if kind == "u" and flat.max() > _LARGEST:
            flat, kind = flat.astype(np.float64), "f"  # SQLite has no such integers
        names = [name] if size == 1 else [f"{name}_{element}" for element in range(size)]
        for column, cells in zip(names, flat.T.tolist(), strict=True):
            yield column, _TYPES[kind], _texts(cells) if kind == "O" else cells
        return
    yield name, "BLOB", [_blob(row) for row in array]
    yield f"{name}_shape", "TEXT", repeat("x".join(map(str, array.shape[1:])))


def _blob(row: Any) -> bytes:
    if isinstance(row, bytes):
        return row
    elements = np.asarray(row)
    if elements.dtype.hasobject:
        return b"\0".join(elements.ravel().tolist())
    return elements.tobytes()


def _texts(cells: Sequence[Any]) -> list[Any]:
    texts: list[Any] = []
    for cell in cells:
        try:
            texts.append(cell.decode() if isinstance(cell, bytes) else cell)
        except UnicodeDecodeError:
            texts.append(cell)  # not text after all: a blob in a column for text
    return texts
