"""The rows of a chunk to tensors, by the rules of ``:predict``; bad rows are sorted out singly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.server.codecs.row_arrays import arrays_of
from penstock.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array
    from penstock.server.codecs.signature import WireSignature

    from .chunk import Chunk
    from .input_columns import InputColumns


class RowEncoder:
    """Makes tensors of rows.

    `penstock.server.codecs.row_arrays.arrays_of` has the rules. Columns of plain numbers are packed
    as arrays without it, where that gives the same elements: see `_packed`.

    Args:
        wire: The model's signature.
        columns: The columns of the input.
    """

    def __init__(self, wire: WireSignature, columns: InputColumns) -> None:
        self._wire = wire
        self._taken = columns.taken
        self._by_input = columns.by_input
        inputs = wire.row_columns.inputs
        named = bool(wire.row_columns.names)
        coded = any(one.codes is not None for one in wire.row_columns.columns)
        floats = all(one.dtype.kind == "f" and one.numeric for one in inputs)
        self._packable = floats and not coded and not columns.by_input
        #: How many columns each input has; an input whose columns have no names has all of them.
        self._widths = [len(one.columns) for one in inputs] if named else [len(columns.taken)]

    def encode(self, chunk: Chunk) -> tuple[list[int], list[Array | None], dict[int, str]]:
        """The tensors of a chunk.

        Returns:
            The positions of the rows that could be read, their tensors in the order of the
            signature, and why each of the other rows could not be read.
        """
        errors = dict(chunk.problems)
        good = list(range(chunk.count))
        if errors:
            good = [at for at in good if at not in errors]
        if not errors and (packed := self._packed(chunk.cells)) is not None:
            return good, packed, errors
        lists = [one.tolist() if isinstance(one, np.ndarray) else one for one in chunk.cells]
        rows = {at: self._row([one[at] for one in lists]) for at in good}
        try:
            return good, self._arrays(list(rows.values())), errors
        except ApiError:
            pass
        parts: dict[int, list[Array | None]] = {}
        for at, row in rows.items():
            try:
                parts[at] = self._arrays([row])
            except ApiError as error:
                number = chunk.start.row + at
                errors[at] = error.message.replace("row 0", f"row {number}", 1)
        return self._joined(parts, errors)

    def _row(self, cells: list[Any]) -> Any:
        return dict(zip(self._taken, cells, strict=True)) if self._by_input else cells

    def _arrays(self, rows: list[Any]) -> list[Array | None]:
        return arrays_of(rows, self._wire.row_columns, self._wire)

    def _joined(
        self, parts: dict[int, list[Array | None]], errors: dict[int, str]
    ) -> tuple[list[int], list[Array | None], dict[int, str]]:
        """One tensor of the single rows; a row of another shape than the first is an error."""
        good: list[int] = []
        shapes: list[Any] = []
        for at, arrays in parts.items():
            own = [None if one is None else one.shape for one in arrays]
            shapes = shapes or own
            if own == shapes:
                good.append(at)
            else:
                errors[at] = "its lists have other lengths than those of the rows before it"
        if not good:
            return good, self._wire.blank.copy(), errors
        columns = zip(*(parts[at] for at in good), strict=True)
        return good, [_stacked(column) for column in columns], errors

    def _packed(self, cells: Sequence[Sequence[Any] | Array]) -> list[Array | None] | None:
        """The tensors of columns that are arrays of numbers; ``None`` if they are not.

        A number becomes the nearest of the input's type, as `arrays_of` rounds it. A number that is
        too large for the type becomes infinite here and is an error there, so that a tensor with
        another number of infinite elements is left to it.
        """
        if not self._packable or not all(isinstance(one, np.ndarray) for one in cells):
            return None
        arrays = self._wire.blank.copy()
        first = 0
        for one, width in zip(self._wire.row_columns.inputs, self._widths, strict=True):
            last = first + width
            narrow = _stacked_as(one.dtype, cells[first:last])
            if narrow is None:
                return None
            shape = (len(narrow), *one.tail) if one.size >= 0 else narrow.shape
            arrays[self._wire.inputs[one.spec.name].position] = narrow.reshape(shape)
            first = last
        return arrays


def _stacked_as(dtype: np.dtype[Any], columns: Sequence[Any]) -> Array | None:
    """The columns side by side; ``None`` if a number becomes infinite in this type."""
    if all(one.dtype == dtype for one in columns):
        return np.stack(columns, axis=1)
    wide = np.stack(columns, axis=1, dtype=np.float64)
    with np.errstate(over="ignore"):
        narrow: Array = wide.astype(dtype)
    return narrow if np.isinf(narrow).sum() == np.isinf(wide).sum() else None


def _stacked(column: Sequence[Array | None]) -> Array | None:
    arrays = [one for one in column if one is not None]
    return np.concatenate(arrays) if arrays else None
