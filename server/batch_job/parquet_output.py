"""Answered rows as Parquet: a column for each output, with its type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.server.codecs.base64_values import SUFFIX

from .output_columns import ERROR
from .parquet_library import parquet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Array, TensorSpec
    from penstock.server.codecs.signature import WireSignature

    from .chunk import Answered
    from .output_columns import OutputColumns

_ARROW: Final = {
    "BOOL": "bool_",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float32",  # few readers of Parquet know halves
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "string",
}
_MATRIX: Final = 2


class ParquetOutput:
    """Writes parts as Parquet; an `penstock.server.batch_job.outputs.Output`.

    An output of one element for each row is a column of that type, of labels the column of their
    classes. An output of several elements is a struct of its classes where they are named, else a
    list. Carried values keep the type of a Parquet input; those of other inputs are text.

    Args:
        wire: The model's signature.
        columns: The columns of the output.
    """

    def __init__(self, wire: WireSignature, columns: OutputColumns) -> None:
        self._arrow, self._parquet = parquet()
        self._columns = columns
        self._outputs = [_OutputColumn(self._arrow, one) for one in wire.signature.outputs]

    def write_part(self, path: Path, answered: Sequence[Answered]) -> None:
        """See `Output.write_part`."""
        batches = [self._batch(one) for one in answered]
        # Parts are read again soon.
        with self._writer(path, batches[0].schema, "NONE") as writer:
            writer.write_table(self._arrow.Table.from_batches(batches).combine_chunks())

    def join(self, target: Path, parts: Sequence[Path]) -> None:
        """Write the parts into one file, each as a row group."""
        with self._writer(target, self._parquet.read_schema(parts[0]), "SNAPPY") as writer:
            for part in parts:
                writer.write_table(self._parquet.read_table(part, use_threads=False))

    def _writer(self, path: Path, schema: Any, compression: str) -> Any:
        """A writer that looks for equal values only where they are likely: not among floats."""
        types = self._arrow.types
        repeated = [one.name for one in schema if not types.is_floating(one.type)]
        return self._parquet.ParquetWriter(
            path, schema, compression=compression, use_dictionary=repeated
        )

    def _batch(self, answered: Answered) -> Any:
        count = answered.chunk.count
        good = np.array(answered.good, np.int64)
        columns = [self._carried(answered.chunk.carried[one]) for one in self._columns.carried]
        if answered.good:
            pairs = zip(self._outputs, answered.outputs, strict=True)
            columns += [output.column(array, good, count) for output, array in pairs]
        else:
            columns += [output.nothing(count) for output in self._outputs]
        text = self._arrow.string()
        if answered.errors:
            errors = [answered.errors.get(at) for at in range(count)]
            columns.append(self._arrow.array(errors, text))
        else:
            columns.append(self._arrow.nulls(count, text))
        return self._arrow.record_batch(columns, [*self._columns.names[:-1], ERROR])

    def _carried(self, values: Any) -> Any:
        if isinstance(values, list):
            texts = [one if one is None or isinstance(one, str) else _text(one) for one in values]
            return self._arrow.array(texts, self._arrow.string())
        return values


class _OutputColumn:
    """One output as a column."""

    def __init__(self, arrow: Any, spec: TensorSpec) -> None:
        self._arrow = arrow
        element = getattr(arrow, _ARROW[spec.datatype])()
        self._is_text = spec.datatype == "BYTES" and not spec.name.endswith(SUFFIX)
        if spec.datatype == "BYTES" and not self._is_text:
            element = arrow.binary()
        self._labels: Array | None = None
        rank = len(spec.shape)
        self._is_scalar = rank == 1 or (rank == _MATRIX and spec.shape[1] == 1)
        self._classes: list[str] = []
        if self._is_scalar:
            self.type = element
            (column,) = spec.columns if len(spec.columns) == 1 else (None,)
            if column is not None and column.categories and not self._is_text:
                self._labels = np.array(column.categories, object)
                whole = all(type(one) is int for one in column.categories)
                self.type = arrow.int64() if whole else arrow.string()
        elif rank == _MATRIX and len(spec.columns) == spec.shape[1]:
            self._classes = [one.name for one in spec.columns]
            self.type = arrow.struct([(one, element) for one in self._classes])
        else:
            self.type = element
            for _ in range(rank - 1):
                self.type = arrow.list_(self.type)

    def nothing(self, count: int) -> Any:
        """The column of rows without an answer."""
        return self._arrow.nulls(count, self.type)

    def column(self, array: Array, good: Array, count: int) -> Any:
        """The column of an array, whose rows have these positions among so many."""
        made = self._made(array)
        if len(good) == count:
            return made
        places = np.full(count, -1, np.int64)
        places[good] = np.arange(len(good))
        return made.take(self._arrow.array(places, mask=places < 0))

    def _made(self, array: Array) -> Any:
        arrow = self._arrow
        if array.dtype == np.object_:
            array = _decoded(array) if self._is_text else array
        if self._is_scalar:
            flat = array.reshape(-1)
            if self._labels is not None:
                return arrow.array(self._named(flat), self.type)
            return arrow.array(flat.tolist() if flat.dtype == np.object_ else flat, self.type)
        if self._classes:
            parts = [arrow.array(one, self.type.field(0).type) for one in array.T.copy()]
            return arrow.StructArray.from_arrays(parts, self._classes)
        return arrow.array(array.tolist(), self.type)

    def _named(self, codes: Array) -> list[Any]:
        """The class of each label; a label without one is its number, as in ``:predict``."""
        assert self._labels is not None
        whole = self.type == self._arrow.int64()
        known = len(self._labels)
        found = [self._labels[one] if 0 <= one < known else int(one) for one in codes.tolist()]
        return found if whole else [str(one) for one in found]


def _decoded(array: Array) -> Array:
    texts = np.empty(array.shape, object)
    flat = texts.reshape(-1)
    flat[:] = [one if isinstance(one, str) else one.decode() for one in array.ravel().tolist()]
    return texts


def _text(value: Any) -> str:
    import orjson  # as JSON has it

    return orjson.dumps(value, default=str).decode()
