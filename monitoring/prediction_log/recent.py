"""Recent requests of a model, rebuilt from the prediction log as the arrays that they were.

The log has one column for each scalar of a row, or a blob and its shape
(`penstock.monitoring.prediction_log.columns`); this is the reverse. A request is given back only if
all of its inputs can be rebuilt.
"""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.monitoring.metrics.derived import names_of

from .catalog import read_only, tables_of
from .columns import FIXED
from .day_file import quoted
from .log_directory import LogDirectory, day_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from penstock.monitoring.samples.samples import Array

#: Rows of one request that are read; one with more is left out.
MAX_ROWS: Final = 256
#: Rows that are looked at for each request that is wanted: some are of one request, or too old.
_SPARE: Final = 4
_ANSWERED: Final = 200
_NAMES: Final = frozenset(name for name, _ in FIXED)


class NotKept(Exception):
    """The log does not hold what is needed to rebuild an input; the message says why."""


@dataclass(frozen=True, slots=True)
class Field:
    """One input or output.

    Attributes:
        name: As the model calls it.
        dtype: Type of its elements; objects are texts.
        shape: Of one row; -1 where open.
        optional: Whether a request may leave it out.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request as it was answered.

    Attributes:
        time: When, Unix seconds.
        version: The version that answered.
        rows: How many it had.
        inputs: By name, axis 0 is rows; without those that it left out.
        outputs: By name, as far as they can be rebuilt.
    """

    time: float
    version: int
    rows: int
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests are wanted.

    Attributes:
        model: Name of the model.
        since: The earliest time, Unix seconds.
        limit: How many at most; they are spread over the time.
        version: Only those that this version answered; 0 for any.
    """

    model: str
    since: float
    limit: int
    version: int = 0


def any_since(state: Path, model: str, since: float) -> bool:
    """Whether the log may hold requests of a model since a time. Blocking.

    Args:
        state: ``state_dir/monitor``.
        model: Name of the model.
        since: Unix seconds.
    """
    return any(True for _ in _tables(state, model, since))


def recent_requests(
    state: Path, wanted: Wanted, inputs: Sequence[Field], outputs: Sequence[Field]
) -> tuple[list[LoggedRequest], str]:
    """Answered requests that are not sealed yet, oldest first, and why some are missing. Blocking.

    Args:
        state: ``state_dir/monitor``.
        wanted: Which of them.
        inputs: What is to be rebuilt; nothing if only outputs matter.
        outputs: The same of outputs; what cannot be rebuilt is left out.

    Returns:
        The requests, and why requests or all of them were left out; empty if none was.
    """
    found: list[LoggedRequest] = []
    note = ""
    try:
        _check_names([*inputs, *outputs])
        for path, request_id, time in _chosen(state, wanted):
            rows = _rows_of(path, wanted.model, request_id, time)
            if not 0 < len(rows) <= MAX_ROWS:
                continue
            try:
                found.append(_request(rows, inputs, outputs))
            except NotKept as reason:
                note = str(reason)
    except NotKept as reason:
        return [], str(reason)
    except sqlite3.Error as error:
        return found, f"the log cannot be read: {error}"
    return sorted(found, key=lambda one: one.time), note


def _tables(state: Path, model: str, since: float) -> Iterable[Path]:
    first = day_of(max(0.0, since))
    for day, path in LogDirectory(state).day_files().items():
        try:
            if day >= first and model in tables_of(day, path):
                yield path
        except sqlite3.Error:
            continue  # damaged, or being sealed


def _chosen(state: Path, wanted: Wanted) -> list[tuple[Path, str, float]]:
    """Day file, id and time of requests that are spread over the log."""
    table = quoted(wanted.model)
    found: dict[tuple[str, float], Path] = {}
    for path in _tables(state, wanted.model, wanted.since):
        with closing(read_only(path)) as db:
            low, high = db.execute(f"select min(rowid), max(rowid) from {table}").fetchone()  # noqa: S608  quoted
            if low is None:
                continue
            number = min(high - low + 1, _SPARE * wanted.limit)
            places = np.unique(np.linspace(low, high, number).astype(np.int64)).tolist()
            marks = ",".join("?" * len(places))
            condition = " and version = ?" if wanted.version else ""
            rows = db.execute(
                f"select request_id, time from {table} where rowid in ({marks})"  # noqa: S608  quoted
                f" and status = ? and error is null and time >= ?{condition}",
                (*places, _ANSWERED, wanted.since, *([wanted.version] if condition else [])),
            )
            found |= dict.fromkeys(rows.fetchall(), path)
    spread = sorted(found, key=lambda one: one[1])
    take = np.unique(np.linspace(0, len(spread) - 1, wanted.limit).astype(int)) if spread else ()
    return [(found[spread[one]], *spread[one]) for one in take]


def _rows_of(path: Path, model: str, request_id: str, time: float) -> list[dict[str, Any]]:
    """The rows of a request, by names in lower case, as SQL does not tell upper from lower."""
    with closing(read_only(path)) as db:
        cursor = db.execute(
            f"select * from {quoted(model)} where request_id = ? and time = ? order by row limit ?",  # noqa: S608  quoted
            (request_id, time, MAX_ROWS + 1),
        )
        names = [one[0].lower() for one in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _check_names(fields: Sequence[Field]) -> None:
    names = [one.name.lower() for one in fields]
    for name in names:
        if name in _NAMES or names.count(name) > 1:
            raise NotKept(f"the log has another name for {name!r}, which several things are called")


def _request(
    rows: list[dict[str, Any]], inputs: Sequence[Field], outputs: Sequence[Field]
) -> LoggedRequest:
    taken = {one.name: _array(one, rows) for one in inputs}
    given: dict[str, Array] = {}
    for one in outputs:
        try:
            array = _array(one, rows)
        except NotKept:
            continue
        if array is not None:
            given[one.name] = array
    return LoggedRequest(
        float(rows[0]["time"]),
        int(rows[0]["version"] or 0),
        len(rows),
        {name: array for name, array in taken.items() if array is not None},
        given,
    )


def _array(field: Field, rows: list[dict[str, Any]]) -> Array | None:
    """The field of a request; ``None`` if it was left out."""
    cells = [_elements(field, row) for row in rows]
    left_out = [one is None for one in cells]
    if all(left_out):
        if field.optional:
            return None
        raise NotKept(f"the log does not hold {field.name!r} of some requests")
    shape = _shape(field, len(cells[0] or ()))
    if any(left_out) or any(len(one or ()) != math.prod(shape) for one in cells):
        raise NotKept(f"the log does not hold all rows of {field.name!r}")
    array = np.empty((len(rows), math.prod(shape)), field.dtype)
    for place, one in enumerate(cells):
        array[place] = one
    return array.reshape(len(rows), *shape)


def _elements(field: Field, row: Mapping[str, Any]) -> Sequence[Any] | None:
    """The elements of one row; ``None`` if there are none."""
    name = field.name.lower()
    if names_of(name)[0] in row and row.get(name) is None and f"{name}_0" not in row:
        raise NotKept(
            f"rows of {field.name!r} are too large for the log, which holds figures of it"
        )
    if row.get(f"{name}_shape") is not None and isinstance(row.get(name), bytes):
        return _of_blob(field, row[name])
    size = math.prod(field.shape) if -1 not in field.shape else None
    if size == 1 or (size is None and row.get(name) is not None):
        value = row.get(name)
        missing = value is None and (field.optional or field.dtype.kind != "f" or name not in row)
        return None if missing else [_element(field, value)]
    values: list[Any] = []
    while f"{name}_{len(values)}" in row and (size is None or len(values) < size):
        values.append(row[f"{name}_{len(values)}"])
    if size is None:  # the columns of longer rows are empty
        while values and values[-1] is None:
            values.pop()
    whole = values and len(values) == size and field.dtype.kind == "f" and not field.optional
    if not whole and all(value is None for value in values):
        return None
    return [_element(field, value) for value in values]


def _element(field: Field, value: Any) -> Any:
    """A value as the model had it. SQLite has no NaN: it keeps nothing in its place."""
    if field.dtype.hasobject:
        return value.encode() if isinstance(value, str) else bytes(value or b"")
    if value is None:
        if field.dtype.kind == "f":
            return math.nan
        raise NotKept(f"the log does not hold all elements of {field.name!r}")
    if isinstance(value, str | bytes):
        raise NotKept(f"the log holds hashes of {field.name!r}, and no values")
    return value


def _of_blob(field: Field, blob: bytes) -> Sequence[Any]:
    if field.dtype.hasobject:
        return blob.split(b"\0")
    if len(blob) % field.dtype.itemsize:
        raise NotKept(f"the log holds {field.name!r} as another type")
    elements: Sequence[Any] = np.frombuffer(blob, field.dtype).tolist()
    return elements


def _shape(field: Field, size: int) -> tuple[int, ...]:
    """The shape of a row of so many elements."""
    if field.shape.count(-1) > 1:
        raise NotKept(f"{field.name!r} has several open dimensions, which the log does not tell")
    known = math.prod(one for one in field.shape if one != -1)
    if -1 not in field.shape:
        return field.shape
    if not known or size % known:
        raise NotKept(f"the log does not hold all elements of {field.name!r}")
    return tuple(size // known if one == -1 else one for one in field.shape)
