"""Parquet as the input of a batch job, read by pyarrow in pieces, on the calling thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .chunk import Chunk, Position
from .job_failed import JobFailed
from .parquet_library import parquet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Array
    from penstock.server.codecs.signature import WireSignature

    from .input_columns import InputColumns

#: Chunks that are decoded at a time: a column of few rows takes three times as long for each row.
_CHUNKS_READ: Final = 8
#: Of each column, from the file. Without it pyarrow holds a whole row group in memory.
_BUFFER_BYTES: Final = 1 << 16


class ParquetInput:
    """A Parquet file; an `penstock.server.batch_job.inputs.Input`.

    Args:
        path: Path of the file.
    """

    def __init__(self, path: Path) -> None:
        arrow, library = parquet()
        self._path, self._arrow = path, arrow
        try:
            self._file = library.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        except (arrow.ArrowException, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise JobFailed(f"{path} is no Parquet file: {reason}") from None
        self.names: list[str] = list(self._file.schema_arrow.names)
        self.total: int | None = self._file.metadata.num_rows

    def chunks(
        self, start: Position, size: int, columns: InputColumns, wire: WireSignature
    ) -> Iterator[Chunk]:
        """See `Input.chunks`."""
        del wire  # the values have types
        wanted = list(dict.fromkeys((*columns.taken, *columns.carried)))
        groups, skipped = self._groups_from(start.row)
        read = self._file.iter_batches(size * _CHUNKS_READ, groups, wanted, use_threads=False)
        try:
            for batch in _slices(read if groups else (), skipped, size):
                end = Position(start.row + len(batch), 0)
                cells = [self._cells(batch.column(name)) for name in columns.taken]
                carried = {name: batch.column(name) for name in columns.carried}
                yield Chunk(start, end, cells, carried)
                start = end
        except (self._arrow.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise JobFailed(f"{self._path} is damaged from row {start.row} on: {reason}") from None

    def _groups_from(self, row: int) -> tuple[list[int], int]:
        """The row groups from the one with this row on, and how many rows of it come before."""
        metadata = self._file.metadata
        first = 0
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            if row < first + rows:
                return list(range(group, metadata.num_row_groups)), row - first
            first += rows
        return [], 0

    def _cells(self, column: Any) -> Sequence[Any] | Array:
        """The values of a column: an array of numbers where none is missing, else a list."""
        types = self._arrow.types
        kind = column.type
        if types.is_dictionary(kind):
            column = column.dictionary_decode()
        if not column.null_count and (types.is_integer(kind) or types.is_floating(kind)):
            array: Array = column.to_numpy(zero_copy_only=False)
            return array
        cells: list[Any] = column.to_pylist()
        return cells


def _slices(batches: Iterable[Any], skipped: int, size: int) -> Iterator[Any]:
    """The rows of batches behind the first ones, at most so many at a time, without a copy."""
    for batch in batches:
        first = min(skipped, len(batch))
        skipped -= first
        for at in range(first, len(batch), size):
            yield batch.slice(at, size)
