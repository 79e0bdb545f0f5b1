"""Requests of sealed days, read back by DuckDB; none where it is not installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.offline_duckdb import connect

from .catalog import PARTS, model_of
from .naming import folded

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from .log_directory import LogDirectory

#: The latest sealed days that are looked at.
MOST_DAYS: Final = 2
PART_SUFFIX: Final = ".parquet"
_MEMORY: Final = "256MB"

Key = tuple[str, float]


def sealed_parts(directory: LogDirectory, model: str, first: str) -> list[Path]:
    """Parquet files of a model's latest sealed days.

    Args:
        directory: Of the log.
        model: Name of the model.
        first: The earliest day that counts, as ``2026-11-20``.
    """
    if find_spec("duckdb") is None:
        return []
    unsealed = directory.day_files()
    days = [
        partition
        for day, partitions in directory.partitions().items()
        if day >= first and day not in unsealed
        for partition in partitions
        if model_of(partition) == model
    ]
    return [part for day in days[-MOST_DAYS:] for part in sorted(day.glob(PARTS))]


def sample_keys(part: Path, condition: str, values: Sequence[Any], most: int) -> list[Key]:
    """Ids and times of some rows of a file, chosen at random.

    Args:
        part: The file.
        condition: Of SQL, about single rows.
        values: Of its question marks.
        most: So many at most.

    Raises:
        OSError: The file cannot be read.
    """
    return [
        (request_id, time)
        for request_id, time in _run(
            "select * from (select request_id, time from read_parquet($part)"  # noqa: S608  ours
            f" where {condition}) using sample reservoir({most:d} rows) repeatable (1)",
            part,
            values,
        )[1]
    ]


def rows_of(part: Path, keys: Collection[Key], most: int) -> dict[Key, list[dict[str, Any]]]:
    """The rows of requests by the `folded` names of their columns, in order.

    Args:
        part: The file.
        keys: Their ids and times.
        most: Rows of each that are read.

    Raises:
        OSError: The file cannot be read.
    """
    query = (
        "select * from read_parquet($part) where request_id in (select unnest(?))"  # noqa: S608  ours
        f" qualify row_number() over (partition by request_id, time order by row) <= {most:d}"
        " order by request_id, time, row"
    )
    names, rows = _run(query, part, [[request_id for request_id, _ in keys]])
    found: dict[Key, list[dict[str, Any]]] = {one: [] for one in keys}
    for row in rows:
        cells = dict(zip(names, row, strict=True))
        key = cells["request_id"], cells["time"]
        if key in found:
            found[key].append(cells)
    return found


def _run(query: str, part: Path, values: Sequence[Any]) -> tuple[list[str], list[tuple[Any, ...]]]:
    path = "'" + str(part).replace("'", "''") + "', hive_partitioning = false"
    with connect(threads="1", memory_limit=_MEMORY) as db:
        try:
            done = db.execute(query.replace("$part", path), values)
            return [folded(one[0]) for one in done.description], done.fetchall()
        except Exception as error:
            if type(error).__module__.partition(".")[0].lstrip("_") != "duckdb":
                raise
            raise OSError(f"{part.name} cannot be read: {error}") from None
