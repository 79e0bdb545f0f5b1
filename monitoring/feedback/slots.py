"""Numbers for values that repeat in millions of rows: model, version and arm, and classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .label import class_name
from .outputs import CLASSIFICATION

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from penstock.monitoring.samples.samples import BatchSample

#: Names of classes that are told apart; a model that invents more gives them all one name.
MAX_CLASS_NAMES: Final = 100_000
OTHER: Final = "_other"


class Slots:
    """The slots of one ``truth.db``.

    Args:
        connection: Open for writing.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._numbers: dict[tuple[str, str, str], int] = {}
        self._described: dict[int, tuple[str, str, str]] = {}
        for number, model, version, arm, kind in connection.execute(
            "SELECT id, model, version, arm, kind FROM slots"
        ):
            self._numbers[model, version, arm] = number
            self._described[number] = model, version, kind
        rows = connection.execute("SELECT id, name FROM classes").fetchall()
        self._names: dict[int, str] = dict(rows)
        self._classes: dict[Any, int] = {name: number for number, name in rows}

    def find(self, sample: BatchSample, kind: str) -> int:
        """The slot of a batch; made if need be."""
        key = sample.model, sample.version, sample.arm
        number = self._numbers.get(key)
        if number is None or self._described[number][2] != kind:
            number = self._connection.execute(
                "INSERT INTO slots (model, version, arm, kind, fraction) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET kind = excluded.kind, fraction = excluded.fraction"
                " RETURNING id",
                (*key, kind, sample.fraction),
            ).fetchone()[0]
            self._numbers[key] = number
            self._described[number] = sample.model, sample.version, kind
        return number

    def knows(self, slot: int, number: float) -> bool:
        """True if there are such a slot and, of a classifier, such a class."""
        found = self._described.get(slot)
        return found is not None and (found[2] != CLASSIFICATION or number in self._names)

    def by_version(self) -> dict[tuple[str, str], list[int]]:
        """The slots of each model and version."""
        found: dict[tuple[str, str], list[int]] = {}
        for number, (model, version, _) in sorted(self._described.items()):
            found.setdefault((model, version), []).append(number)
        return found

    def describe(self, slot: int) -> tuple[str, str, str]:
        """Model, version and kind of a slot."""
        return self._described[slot]

    def classes(self, values: Sequence[Any]) -> list[int]:
        """The number of each class."""
        known = self._classes
        try:
            return [known[one] for one in values]
        except KeyError:
            return [self._class(one) for one in values]

    def value(self, slot: int, number: float) -> Any:
        """The predicted value: the name of a class, or a number."""
        return self._names[int(number)] if self._described[slot][2] == CLASSIFICATION else number

    def _class(self, value: Any) -> int:
        number = self._classes.get(value)
        if number is not None:
            return number
        name = class_name(value)
        full = len(self._names) >= MAX_CLASS_NAMES
        if name not in self._classes and full and name != OTHER:
            return self._class(OTHER)
        if name not in self._classes:
            query = "INSERT INTO classes (name) VALUES (?) RETURNING id"
            self._classes[name] = self._connection.execute(query, (name,)).fetchone()[0]
            self._names[self._classes[name]] = name
        # The model's own spelling is remembered as well, which saves the conversion of each row.
        self._classes[value] = self._classes[name]
        return self._classes[name]
