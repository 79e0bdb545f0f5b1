"""The output of a batch job: a file of one of three formats, made of parts."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final, Protocol

from .job_failed import JobFailed
from .parquet_output import ParquetOutput
from .row_texts import CsvOutput, JsonlOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path, PurePath

    from penstock.server.codecs.signature import WireSignature

    from .chunk import Answered
    from .output_columns import OutputColumns


class Output(Protocol):
    """Writes parts in one format."""

    def write_part(self, path: Path, answered: Sequence[Answered]) -> None:
        """Write answered rows into a new file.

        Args:
            path: Path of the file.
            answered: At least one, in the order of the rows.

        Raises:
            OSError: It cannot be written.
        """
        ...


_KINDS: Final[Mapping[str, Callable[[WireSignature, OutputColumns], Output]]] = {
    ".csv": CsvOutput,
    ".jsonl": JsonlOutput,
    ".ndjson": JsonlOutput,
    ".parquet": ParquetOutput,
}


def check_format(path: PurePath) -> None:
    """Whether there is a format with the suffix of this path.

    Raises:
        JobFailed: There is none.
    """
    if path.suffix.lower() not in _KINDS:
        raise JobFailed(f"{path} must end in one of {', '.join(_KINDS)}")


def check_output(path: Path) -> None:
    """Whether there is a format with the suffix of this path, and a directory for it.

    Raises:
        JobFailed: There is none.
    """
    check_format(path)
    if path.is_dir() or not path.parent.is_dir():
        raise JobFailed(f"{path} cannot be written: expected a file in a directory that is there")


def open_output(path: Path, wire: WireSignature, columns: OutputColumns) -> Output:
    """The writer of an output with the suffix of this path."""
    return _KINDS[path.suffix.lower()](wire, columns)


def join(output: Output, target: Path, parts: Sequence[Path]) -> None:
    """Make the output of its parts.

    Args:
        output: The writer of the parts.
        target: Path of a new file.
        parts: At least one, in the order of the rows.
    """
    if isinstance(output, ParquetOutput):
        output.join(target, parts)
        return
    with target.open("wb") as file:
        if isinstance(output, CsvOutput):
            file.write(output.head())
        for part in parts:
            with part.open("rb") as rows:
                shutil.copyfileobj(rows, file, 1 << 20)
