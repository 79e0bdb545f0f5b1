"""Recent requests of a model, rebuilt from the prediction log as the arrays that they were.

A request is given back only if all of its inputs can be rebuilt.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from . import naming
from .catalog import read_only, tables_of
from .columns import FIXED
from .day_file import quoted
from .log_directory import LogDirectory, day_of
from .logged_field import NotKept, array_of, check_names
from .sealed_requests import PART_SUFFIX, rows_of, sample_keys, sealed_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from penstock.monitoring.samples.samples import Array

    from .logged_field import Field

#: Rows of one request that are read; one with more is left out.
MAX_ROWS: Final = 256
#: Rows that are looked at for each request that is wanted: some are of one request, or too old.
_SPARE: Final = 4
_ANSWERED: Final = 200


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A logged request with its answer.

    Attributes:
        time: Unix seconds of the answer.
        version: The version that answered.
        rows: Number of its rows.
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
        limit: Most requests; they are spread over the time.
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
    sealed = sealed_parts(LogDirectory(state), model, day_of(max(0.0, since)))
    return bool(sealed) or any(True for _ in _tables(state, model, since))


def recent_requests(
    state: Path, wanted: Wanted, inputs: Sequence[Field], outputs: Sequence[Field]
) -> tuple[list[LoggedRequest], str]:
    """Answered requests, oldest first, and why some are missing. Blocking.

    Of sealed days the latest ones count, and only where DuckDB is installed.

    Args:
        state: ``state_dir/monitor``.
        wanted: Choice of the requests.
        inputs: Inputs to rebuild; none if only outputs matter.
        outputs: The same of outputs; what cannot be rebuilt is left out.

    Returns:
        The requests, and why requests or all of them were left out; empty if none was.
    """
    found: list[LoggedRequest] = []
    note = ""
    try:
        check_names([*inputs, *outputs])
        for rows, namings in _all_rows(_chosen(state, wanted), wanted.model):
            if not 0 < len(rows) <= MAX_ROWS:
                continue
            try:
                found.append(_request(_unnamed(rows, namings), inputs, outputs))
            except NotKept as reason:
                note = str(reason)
    except NotKept as reason:
        return [], str(reason)
    except (sqlite3.Error, OSError) as error:
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
    first = day_of(max(0.0, wanted.since))
    condition = "status = ? and error is null and time >= ?"
    values: list[Any] = [_ANSWERED, wanted.since]
    if wanted.version:
        condition, values = f"{condition} and version = ?", [*values, str(wanted.version)]
    for part in sealed_parts(LogDirectory(state), wanted.model, first):
        with suppress(OSError):  # damaged: the other files say enough
            found |= dict.fromkeys(
                sample_keys(part, condition, values, _SPARE * wanted.limit), part
            )
    spread = sorted(found, key=lambda one: one[1])
    take = np.unique(np.linspace(0, len(spread) - 1, wanted.limit).astype(int)) if spread else ()
    return [(found[spread[one]], *spread[one]) for one in take]


def _all_rows(
    chosen: Sequence[tuple[Path, str, float]], model: str
) -> Iterable[tuple[list[dict[str, Any]], Mapping[int, naming.Naming]]]:
    """The rows of each request and the namings of their file.

    Those of sealed days come all at once, as their files have no index.
    """
    sealed: dict[Path, list[tuple[str, float]]] = {}
    for path, request_id, time in chosen:
        if path.suffix == PART_SUFFIX:
            sealed.setdefault(path, []).append((request_id, time))
        else:
            yield _rows_of(path, model, request_id, time)
    for part, keys in sealed.items():
        namings = naming.read_file(part.parent)
        for rows in rows_of(part, keys, MAX_ROWS + 1).values():
            yield rows, namings


def _rows_of(
    path: Path, model: str, request_id: str, time: float
) -> tuple[list[dict[str, Any]], Mapping[int, naming.Naming]]:
    """The rows of a request by the `naming.folded` names of their columns, and the namings."""
    with closing(read_only(path)) as db:
        cursor = db.execute(
            f"select * from {quoted(model)} where request_id = ? and time = ? order by row limit ?",  # noqa: S608  quoted
            (request_id, time, MAX_ROWS + 1),
        )
        names = [naming.folded(one[0]) for one in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        return rows, naming.read(db, model) if naming.NAMING in names else {}


def _unnamed(
    rows: list[dict[str, Any]], namings: Mapping[int, naming.Naming]
) -> list[dict[str, Any]]:
    """The rows by the names that their values have without the model's names."""
    found = []
    for row in rows:
        plain = naming.without_names(row, namings)
        if plain is None:
            raise NotKept("the log does not hold which columns have which inputs")
        found.append(plain | {name: row[name] for name, _ in FIXED})
    return found


def _request(
    rows: list[dict[str, Any]], inputs: Sequence[Field], outputs: Sequence[Field]
) -> LoggedRequest:
    if [one["row"] for one in rows] != list(range(len(rows))):
        raise NotKept("the log holds several requests of one id and moment, whose rows are mixed")
    taken = {one.name: array_of(one, rows) for one in inputs}
    given: dict[str, Array] = {}
    for one in outputs:
        try:
            array = array_of(one, rows)
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
