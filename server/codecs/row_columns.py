"""The columns of a row that a person sends: names, types and categories, from a signature."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from penstock.runtimes.contract import VARIABLE, Column
from penstock.runtimes.datatypes import NUMPY_OF

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Signature, TensorSpec

#: Column names that an error message lists.
_MOST_NAMES: Final = 40
#: Categories that an error message lists.
_MOST_CATEGORIES: Final = 20

_WHAT: Final = {"f": "a number", "i": "a whole number", "u": "a whole number", "b": "true or false"}
_JSON_TYPES: Final = {"f": "number", "i": "integer", "u": "integer", "b": "boolean"}


class RowColumn:
    """One column of a row.

    Attributes:
        name: Name of the column.
        categories: As in `Column`.
        missing: As in `Column`.
        is_text: Whether it is a part of a BYTES tensor.
        codes: Values in the tensor for each category, and for ``None`` if a value may be
            missing; ``None`` if values stand for themselves.
    """

    __slots__ = ("_kind", "categories", "codes", "is_text", "missing", "name")

    def __init__(self, column: Column, datatype: str) -> None:
        self.name = column.name
        self.categories = column.categories
        self._kind = NUMPY_OF[datatype].kind
        self.is_text = datatype == "BYTES"
        self.missing = column.missing and (self.is_text or self._kind == "f")
        self.codes: dict[Any, Any] | None = None
        if column.categories and self.is_text:
            self.codes = {one: str(one).encode() for one in column.categories}
        elif column.categories:
            self.codes = {one: code for code, one in enumerate(column.categories)}
        if self.codes is not None and self.missing:
            self.codes[None] = b"" if self.is_text else math.nan

    @property
    def json_type(self) -> str:
        """The type of JSON that a value without categories has."""
        return _JSON_TYPES.get(self._kind, "string")

    @property
    def expected(self) -> str:
        """What a value must be, for an error message."""
        if self.categories:
            shown = [repr(one) for one in self.categories[:_MOST_CATEGORIES]]
            more = len(self.categories) - len(shown)
            what = f"one of {', '.join(shown)}" + (f" and {more} more" if more else "")
        elif self.categories is not None:
            what = "a text or a whole number" if self.is_text else "the number of a category"
        else:
            what = "a text" if self.is_text else _WHAT[self._kind]
        return what + (", or null" if self.missing else "")


class RowInput:
    """One input, and the columns that its part of a row has.

    Attributes:
        spec: As the signature has it.
        dtype: The numpy type that holds it.
        tail: Dimensions of one row.
        size: Elements of one row.
        columns: One for each element of a row; empty if nobody has named them.
        numeric: Whether any number may stand in each column, or in place of its category.
    """

    __slots__ = ("columns", "dtype", "numeric", "size", "spec", "tail")

    def __init__(self, spec: TensorSpec) -> None:
        self.spec = spec
        self.dtype = NUMPY_OF[spec.datatype]
        self.tail = spec.shape[1:]
        self.size = -1 if VARIABLE in self.tail else math.prod(self.tail)
        named = spec.columns
        if not named and self.size == 1 and len(self.tail) <= 1:
            named = (Column(spec.name),)
        fits = len(named) == self.size and len(self.tail) <= 1
        self.columns = tuple(RowColumn(one, spec.datatype) for one in named) if fits else ()
        self.numeric = not any(one.is_text or one.categories == () for one in self.columns)


class RowColumns:
    """All that `rows` needs to know of a signature; made once for each loaded version.

    Attributes:
        inputs: The inputs that a row has a part of, in the order of the signature.
        names: Names of all columns, in the order of the inputs; empty if a row has no names.
        columns: The same columns.
        order: Position in `names` of each value of a row that is a plain list; ``None`` if that is
            their order.
        problem: Reason for which the model takes no rows; empty if it does.
    """

    def __init__(self, signature: Signature) -> None:
        self.inputs = tuple(RowInput(one) for one in signature.inputs if not one.optional)
        self.problem = _problem(signature, self.inputs)
        named = all(one.columns for one in self.inputs)
        self.columns = tuple(c for one in self.inputs for c in one.columns) if named else ()
        names = tuple(column.name for column in self.columns)
        if len(set(names)) < len(names):  # nobody can say which is meant
            names, self.columns = (), ()
        self.names = names
        wanted = signature.column_order
        same = sorted(wanted) == sorted(names)
        self.order = [names.index(one) for one in wanted] if same and wanted != names else None

    @cached_property
    def listed(self) -> tuple[RowColumn, ...]:
        """The columns in the order of a row that is a plain list."""
        return self.columns if self.order is None else tuple(self.columns[i] for i in self.order)

    @property
    def expected(self) -> str:
        """The names of the columns, for an error message."""
        names = [repr(one.name) for one in self.listed[:_MOST_NAMES]]
        more = len(self.names) - len(names)
        return f"the columns {', '.join(names)}" + (f" and {more} more" if more else "")


def _problem(signature: Signature, inputs: Sequence[RowInput]) -> str:
    if not signature.rows_axis:
        return "axis 0 of its inputs is not known to be rows"
    if not inputs:
        return "it has no input that a request must give"
    return ""
