"""JSON lines as the input of a batch job: an object with named values on each line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from .chunk import Chunk, Position
from .job_failed import JobFailed
from .text_lines import TextLines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from penstock.server.codecs.signature import WireSignature

    from .input_columns import InputColumns

#: The first lines of a file, in which one object names the columns.
_SEARCHED_LINES = 1000


class JsonlInput:
    """A file of JSON lines; an `penstock.server.batch_job.inputs.Input`.

    Args:
        path: Path of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.names: list[str] = []
        self.total: int | None = None
        with TextLines(path) as lines:
            for _, line in zip(range(_SEARCHED_LINES), lines, strict=False):
                row = _parsed(line)
                if isinstance(row, dict):
                    self.names = list(row)
                    return
        if path.stat().st_size:
            raise JobFailed(f"{path}: expected an object with named values on each line")

    def chunks(
        self, start: Position, size: int, columns: InputColumns, wire: WireSignature
    ) -> Iterator[Chunk]:
        """See `Input.chunks`."""
        del wire  # the values have types
        with TextLines(self._path, start.offset) as lines:
            rows: list[dict[str, Any]] = []
            problems: dict[int, str] = {}
            for line in lines:
                if not line.strip():
                    continue
                row = _parsed(line)
                if (problem := _problem(row, columns)) != "":
                    problems[len(rows)] = problem
                rows.append(row if isinstance(row, dict) else {})
                if len(rows) == size:
                    end = Position(start.row + len(rows), lines.offset)
                    yield _chunk(start, end, rows, columns, problems)
                    start, rows, problems = end, [], {}
            if rows:
                end = Position(start.row + len(rows), lines.offset)
                yield _chunk(start, end, rows, columns, problems)


def _chunk(
    start: Position,
    end: Position,
    rows: list[dict[str, Any]],
    columns: InputColumns,
    problems: dict[int, str],
) -> Chunk:
    cells = [[row.get(name) for row in rows] for name in columns.taken]
    carried = {name: [row.get(name) for row in rows] for name in columns.carried}
    return Chunk(start, end, list(cells), carried, problems)


def _parsed(line: str) -> Any:
    try:
        return orjson.loads(line)
    except ValueError:  # also of what is not UTF-8
        return None


def _problem(row: Any, columns: InputColumns) -> str:
    if not isinstance(row, dict):
        return "it is no JSON object"
    for name in columns.taken:
        if name not in row:
            return f"it lacks the column {name!r}"
    return ""
