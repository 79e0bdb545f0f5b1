"""The input of a batch job: a file of one of three formats, by its suffix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from .csv_input import CsvInput
from .job_failed import JobFailed
from .jsonl_input import JsonlInput
from .parquet_input import ParquetInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path, PurePath

    from penstock.server.codecs.signature import WireSignature

    from .chunk import Chunk, Position
    from .input_columns import InputColumns


class Input(Protocol):
    """A file of rows.

    Attributes:
        names: Names of its columns.
        total: Number of its rows; ``None`` if the file does not say.
    """

    names: list[str]
    total: int | None

    def chunks(
        self, start: Position, size: int, columns: InputColumns, wire: WireSignature
    ) -> Iterator[Chunk]:
        """The rows from a place on, at most `size` at a time.

        Args:
            start: An end of a chunk that was given before, or the beginning.
            size: Most rows in a chunk.
            columns: The columns that are needed.
            wire: The model's signature, with the types of its columns.

        Raises:
            JobFailed: The file is damaged.
            OSError: It cannot be read.
        """
        ...


_KINDS: Final[Mapping[str, Callable[[Path], Input]]] = {
    ".csv": CsvInput,
    ".jsonl": JsonlInput,
    ".ndjson": JsonlInput,
    ".parquet": ParquetInput,
}


def check_input(path: PurePath, suffix: str) -> Callable[[Path], Input]:
    """Whether there is a format with a suffix; gives its reader.

    Raises:
        JobFailed: There is none.
    """
    kind = _KINDS.get(suffix.lower())
    if kind is None:
        raise JobFailed(f"{path} must end in one of {', '.join(_KINDS)}")
    return kind


def open_input(path: Path, suffix: str) -> Input:
    """The input at a path.

    Args:
        path: Path of the file.
        suffix: Says its format.

    Raises:
        JobFailed: It has another format.
        OSError: It cannot be read.
    """
    kind = check_input(path, suffix)
    if not path.is_file():
        path.open("rb").close()  # raises: there is none, or it is a directory
        raise JobFailed(f"{path} is no file")
    return kind(path)
