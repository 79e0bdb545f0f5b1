"""Which columns of an input file the model takes, and which are carried to the output."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from penstock.monitoring.files.wording import did_you_mean

from .job_failed import JobFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.server.codecs.signature import WireSignature

#: Columns that an error names.
_MOST_NAMES = 20


class InputColumns(NamedTuple):
    """The columns of an input.

    Attributes:
        taken: Columns that the model takes, in the order of its row; by input where `by_input`.
        by_input: Whether each of them is a whole input of the model.
        carried: Columns that go to the output as they are.
    """

    taken: tuple[str, ...]
    by_input: bool
    carried: tuple[str, ...]


def choose(
    found: Sequence[str], wire: WireSignature, keys: Sequence[str], *, all_columns: bool
) -> InputColumns:
    """Choose the columns.

    Args:
        found: Names of all columns of the file.
        wire: The model's signature.
        keys: Columns to be carried.
        all_columns: Whether all of them are to be carried.

    Raises:
        JobFailed: A column is missing, or the model names none and the others cannot be meant.
    """
    if len(set(found)) < len(found):
        raise JobFailed("the input names a column twice")
    lacking = [one for one in keys if one not in found]
    if lacking:
        hint = did_you_mean(lacking[0], list(found))
        raise JobFailed(f"the input has no column {lacking[0]!r}{hint}, which --key names")
    carried = tuple(found) if all_columns else tuple(dict.fromkeys(keys))
    names = wire.row_columns.names
    by_input = not names
    if by_input:
        inputs = tuple(one.spec.name for one in wire.row_columns.inputs)
        if not set(inputs) <= set(found):
            return InputColumns(_unnamed(found, wire, keys), by_input=False, carried=carried)
        names = inputs
    missing = [repr(one) for one in names if one not in found]
    if missing:
        more = len(missing) - _MOST_NAMES
        listed = ", ".join(missing[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
        raise JobFailed(
            f"the input lacks the column{'s' if len(missing) > 1 else ''} {listed}; "
            f"expected {wire.row_columns.expected}"
        )
    return InputColumns(tuple(names), by_input=by_input, carried=carried)


def _unnamed(found: Sequence[str], wire: WireSignature, keys: Sequence[str]) -> tuple[str, ...]:
    """All columns but the keys, in order, for a model of one input that names none."""
    taken = tuple(one for one in found if one not in keys)
    inputs = wire.row_columns.inputs
    if len(inputs) != 1 or len(inputs[0].tail) != 1 or inputs[0].size not in {-1, len(taken)}:
        shapes = ", ".join(f"{one.spec.name!r} {list(one.spec.shape)}" for one in inputs)
        raise JobFailed(
            f"the model does not name its columns, and {len(taken)} columns do not fit its inputs "
            f"{shapes}; name the others with --key, or publish names with penstock push --columns"
        )
    return taken
