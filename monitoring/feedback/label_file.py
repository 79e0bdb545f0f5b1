"""Reads labels from a file, row by row; rows without a label are reported by line."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.files.csv_records import CsvRecords, RowEndUnknown

from .label import KEYS, LabelError, parse_label

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from pathlib import Path

#: Of one line of a file of JSON lines.
MAX_LINE: Final = 64 << 10
_IDS: Final = ("request_id", "inference_id")
_BOMS: Final = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_SEPARATORS: Final = (",", ";", "\t")


class LabelFileError(ValueError):
    """The file is none of labels; the message says why."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row of a file.

    Attributes:
        line: Number of its last line, from 1.
        label: The label; ``None`` for a row without one.
        problem: The reason why the row is no label; empty for a row that has none yet.
    """

    line: int
    label: dict[str, Any] | None = None
    problem: str = ""


class LabelFile:
    """A ``.csv`` with a heading, or one JSON object a line.

    Args:
        path: Path of the file.

    Attributes:
        ignored: Columns and keys that are not used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.ignored: set[str] = set()

    def rows(self) -> Iterator[FileRow]:
        """All rows, in order.

        Raises:
            LabelFileError: The file is not text, or its heading names no request ids or no labels.
            OSError: It cannot be read.
        """
        with self._path.open("rb") as file:
            if other := _BOMS.get(file.read(2)):
                raise LabelFileError(f"{self._path} is {other}; save it as UTF-8")
        # A row with bytes that are no UTF-8 is told like any other that is wrong.
        with self._path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            yield from self._csv(file) if self._path.suffix.lower() == ".csv" else self._lines(file)

    def _csv(self, file: Any) -> Iterator[FileRow]:
        blank = 0
        while not (heading := file.readline(MAX_LINE)).strip() and heading:
            blank += 1
        separator = max(_SEPARATORS, key=heading.count)
        names = next(csv.reader([heading], delimiter=separator), [])
        names = [name.strip().lower() for name in names]
        if not set(_IDS) & set(names) or "label" not in names:
            raise LabelFileError(
                f"{self._path} has the columns {', '.join(names)[:200]}; expected a heading with "
                "request_id and label, and if need be index, label_time and source"
            )
        self.ignored.update(name for name in names if name not in KEYS and name)
        reader = CsvRecords(file, separator)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except RowEndUnknown as error:
                problem = f"{error}; nothing behind this row was read"
                yield FileRow(reader.line_number + 1 + blank, problem=problem)
                return
            except csv.Error as error:
                yield FileRow(reader.line_number + 1 + blank, problem=str(error))
                continue
            if cells:
                yield self._row(reader.line_number + 1 + blank, names, cells)

    def _row(self, line: int, names: list[str], cells: list[str]) -> FileRow:
        if len(cells) > len(names):
            return FileRow(line, problem=f"{len(cells)} cells, the heading has {len(names)}")
        found = dict(zip(names, cells, strict=False))
        return self._checked(line, {key: one for key, one in found.items() if one.strip()})

    def _lines(self, file: io.TextIOBase) -> Iterator[FileRow]:
        number = 0
        while text := file.readline(MAX_LINE):
            number += 1
            if len(text) == MAX_LINE and not text.endswith("\n"):
                while (rest := file.readline(MAX_LINE)) and not rest.endswith("\n"):
                    pass
                yield FileRow(number, problem=f"longer than {MAX_LINE} characters")
                continue
            if not text.strip():
                continue
            try:
                item = json.loads(text)
            except (ValueError, RecursionError):
                yield FileRow(number, problem="is not JSON")
                continue
            if not isinstance(item, dict):
                yield FileRow(number, problem="is not a JSON object")
                continue
            self.ignored.update(str(key)[:64] for key in item if key not in KEYS)
            yield self._checked(number, item)

    def _checked(self, line: int, item: dict[str, Any]) -> FileRow:
        """A row as the server will read it: what is wrong is found here, by its line."""
        given = {key: item[key] for key in KEYS if item.get(key) is not None and item[key] != ""}
        if "label" not in given:
            return FileRow(line)
        try:
            one = parse_label(given, 0, 0.0)
        except LabelError as error:
            return FileRow(line, problem=str(error))
        told: dict[str, Any] = {"request_id": one.request_id, "label": one.label}
        if one.index:
            told["index"] = one.index
        if "label_time" in given:
            told["label_time"] = one.time
        if one.source:
            told["source"] = one.source
        if one.unit:
            told["unit"] = one.unit
        return FileRow(line, told)
