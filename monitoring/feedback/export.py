"""Labelled predictions as a table for retraining: logged inputs and outputs, and the labels.

A prediction that the log has already removed comes without inputs.
Needs DuckDB for days that are sealed as Parquet, and to write Parquet.
"""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.databases import is_damage
from penstock.monitoring.distribution import install_command
from penstock.monitoring.files.atomic_file import drafted
from penstock.monitoring.offline_duckdb import connect
from penstock.monitoring.prediction_log.catalog import PARTS, partition_path
from penstock.monitoring.prediction_log.naming import NAMING, TakenNames

from .classes import number_of
from .evaluator import gives_texts
from .schema import FEEDBACK_FILE, has_column, open_to_read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

#: Columns of the truth, before those of the log; types of DuckDB. Those of predicted and label
#: follow from the values.
FIXED: Final = (
    ("request_id", "VARCHAR"),
    ("row", "BIGINT"),
    ("model", "VARCHAR"),
    ("version", "BIGINT"),
    ("arm", "VARCHAR"),
    ("fraction", "DOUBLE"),
    ("predicted_at", "DOUBLE"),
    ("predicted", ""),
    ("label", ""),
    ("label_time", "DOUBLE"),
    ("received", "DOUBLE"),
    ("source", "VARCHAR"),
)
_LABEL: Final = [name for name, _ in FIXED].index("label")
_SAME: Final = frozenset({"request_id", "row", "version", "arm", "fraction", NAMING})
_TYPES: Final = {"INTEGER": "BIGINT", "REAL": "DOUBLE", "TEXT": "VARCHAR", "BLOB": "VARCHAR"}
#: One row per prediction: the newest label of any caller, in the model's spelling if it has one.
_LABELS: Final = (
    "SELECT request_id, idx, model, version, arm, fraction, predicted_at, predicted, {},"
    " max(label_time), received, source FROM labels JOIN slots ON slots.id = slot"
    " WHERE model = ? AND received >= ? GROUP BY key"
)


class ExportFailed(Exception):
    """The export failed; the message has the reason."""


class NoLabels(ExportFailed):
    """There is nothing to export."""


class LabelledExport:
    """The labelled predictions of one model.

    Args:
        state: ``STATE_DIR/monitor``.
        model: Name of the model.
        since: Unix seconds; labels received earlier are left out.

    Attributes:
        notes: Parts that could not be read, once the rows were written.

    Raises:
        NoLabels: There are no labelled predictions.
        sqlite3.Error: A file cannot be read.
    """

    def __init__(self, state: Path, model: str, since: float) -> None:
        connection = open_to_read(state / FEEDBACK_FILE)
        if connection is None:
            raise NoLabels(f"no labels were ever received in {state}")
        with closing(connection):
            connection.row_factory = None
            truth = "coalesce(truth, label)" if has_column(connection, "truth") else "label"
            rows = connection.execute(_LABELS.format(truth), (model, since)).fetchall()
            if not gives_texts(connection, model):
                rows = [(*row[:_LABEL], _number(row[_LABEL]), *row[_LABEL + 1 :]) for row in rows]
        if not rows:
            raise NoLabels(f"there are no labels of {model!r} in this time")
        self.notes: list[str] = []
        self._truth = {(row[0], row[1]): row for row in rows}
        self._model = model
        self._days = sorted((state / "log").glob("predictions-*.db"))
        days = partition_path(state / "parquet", model, "*")
        self._sealed = sorted(days.parent.glob(f"{days.name}/{PARTS}"))
        self._logged: dict[str, str] = {}
        for path in list(self._days):
            try:
                self._logged |= _columns_of_day(path, model)
            except sqlite3.Error as error:
                if is_damage(error):
                    self._leave_out(path)
                self._days.remove(path)  # or it was sealed meanwhile
        for path in self._sealed:
            self._logged |= _columns_of_partition(path)
        self._logged = {name: kind for name, kind in self._logged.items() if name not in _SAME}

    @property
    def columns(self) -> dict[str, str]:
        """Names, and types of DuckDB."""
        known = {name: kind or self._kind(name) for name, kind in FIXED}
        taken, found = TakenNames(known), dict(known)
        for name, kind in self._logged.items():
            found[taken.take(f"log_{name}" if name.lower() in known else name)] = kind
        return found

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """One tuple per labelled prediction, in the order of `columns`."""
        left = dict(self._truth)
        for found in (*map(self._of_day, self._days), *map(self._of_partition, self._sealed)):
            for values in found:
                truth = left.pop((values["request_id"], values["row"]), None)
                if truth is not None:
                    yield (*truth, *(_plain(values.get(name)) for name in self._logged))
        blank = (None,) * len(self._logged)
        for truth in left.values():
            yield (*truth, *blank)

    def __len__(self) -> int:
        """Labels; their predictions may be gone from the log."""
        return len(self._truth)

    def write_csv(self, path: Path, progress: Callable[[int], None] = lambda _: None) -> int:
        """Write a heading and the rows; returns their number.

        Args:
            path: The file.
            progress: Is told how many rows more are written.
        """
        count = 0
        with drafted(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(self.columns)
            for row in self.rows():
                writer.writerow(row)
                count += 1
                progress(1)
        return count

    def write_parquet(self, path: Path, progress: Callable[[int], None] = lambda _: None) -> int:
        """Write the rows, compressed; returns their number.

        Args:
            path: The file.
            progress: Is told how many rows more are written.

        Raises:
            ExportFailed: DuckDB is not installed.
        """
        text = path.with_name(f".{path.name}.csv")
        try:
            count = self.write_csv(text, progress)
            with drafted(path) as draft, closing(_duckdb()) as database:
                relation = database.read_csv(str(text), header=True, dtype=self.columns)
                relation.write_parquet(str(draft), compression="zstd")
        finally:
            text.unlink(missing_ok=True)
        return count

    def _kind(self, name: str) -> str:
        place = [one for one, _ in FIXED].index(name)
        kinds = {type(row[place]) for row in self._truth.values()} - {type(None)}
        if kinds <= {int}:
            return "BIGINT"
        return "DOUBLE" if kinds <= {int, float} else "VARCHAR"

    def _of_day(self, path: Path) -> Iterator[Mapping[str, Any]]:
        try:
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        except sqlite3.Error:
            return  # sealed or removed meanwhile
        with closing(connection):
            connection.row_factory = sqlite3.Row
            query = f"SELECT * FROM {_quoted(self._model)} WHERE request_id = ? AND row = ?"  # noqa: S608  quoted
            try:
                if not _columns_of_day(path, self._model):
                    return
                for key in self._truth:
                    for row in connection.execute(query, key):
                        yield dict(row)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                self._leave_out(path)

    def _leave_out(self, path: Path) -> None:
        self.notes.append(f"{path.name} is damaged; of its rows the inputs are missing")

    def _of_partition(self, path: Path) -> Iterator[Mapping[str, Any]]:
        with closing(_duckdb()) as database:
            database.execute("CREATE TABLE wanted (request_id VARCHAR, row BIGINT)")
            database.executemany("INSERT INTO wanted VALUES (?, ?)", list(self._truth))
            found = database.execute(
                "SELECT logged.* FROM read_parquet(?, hive_partitioning = false) AS logged"
                " SEMI JOIN wanted USING (request_id, row)",
                [str(path)],
            )
            names = [one[0] for one in found.description]
            while rows := found.fetchmany(1000):
                for row in rows:
                    yield dict(zip(names, row, strict=True))


def _number(label: Any) -> Any:
    """A class of a model that gives numbers, as a number."""
    number = number_of(label)
    return int(number) if number is not None and number.is_integer() else number or label


def _columns_of_day(path: Path, model: str) -> dict[str, str]:
    """Columns of a model's table and their types; empty without one.

    Raises:
        sqlite3.Error: The file cannot be read.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        columns = connection.execute(f"PRAGMA table_info({_quoted(model)})").fetchall()
    return {one[1]: _TYPES.get(one[2].upper(), "VARCHAR") for one in columns}


def _columns_of_partition(path: Path) -> dict[str, str]:
    with closing(_duckdb()) as database:
        found: Iterable[Any] = database.execute(
            "DESCRIBE SELECT * FROM read_parquet(?, hive_partitioning = false)", [str(path)]
        ).fetchall()
        return {one[0]: "VARCHAR" if one[1] == "BLOB" else one[1] for one in found}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _duckdb() -> Any:
    try:
        return connect()
    except ImportError:
        raise ExportFailed(
            f"Parquet needs DuckDB: {install_command('analytics')}, or export to .csv"
        ) from None
