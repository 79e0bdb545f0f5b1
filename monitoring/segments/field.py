"""Declared segment fields, and the names of their values."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Bytes of a name, as UTF-8; a longer text ends in a hash of all of it.
NAME_BYTES: Final = 32
#: The values that have no name of their own, and those that are empty, NaN or not there.
OTHER: Final = "(other)"
MISSING: Final = "(missing)"

_HASH_BYTES: Final = 4
_HEAD_BYTES: Final = NAME_BYTES - 2 * _HASH_BYTES - 1
#: Beyond it a double does not hold each whole number.
_WHOLE: Final = 2**53


class SegmentField(NamedTuple):
    """A declared field of a version.

    Attributes:
        name: As ``segments`` of ``model.toml`` has it.
        tensor: The input that holds it; empty for a request header.
        element: Place in a row of the input; -1 where the input has one element a row.
    """

    name: str
    tensor: str
    element: int = -1


def text_name(value: bytes) -> str:
    """The name of a text.

    Args:
        value: UTF-8; other bytes become replacement characters.
    """
    if not value:
        return MISSING
    if len(value) <= NAME_BYTES:
        name = value.decode(errors="replace")
        if name.isprintable() and len(name.encode()) <= NAME_BYTES:
            return name
    digest = blake2b(value, digest_size=_HASH_BYTES).hexdigest()
    head = value[:_HEAD_BYTES].decode(errors="ignore")
    return "".join(one if one.isprintable() else "?" for one in head) + "~" + digest


def value_name(value: Any) -> str:
    """The name of one value of an input.

    Args:
        value: ``bytes``, a truth value or a number. A number that is not whole is `OTHER`.
    """
    if isinstance(value, bytes):
        return text_name(value)
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if value != value:  # noqa: PLR0124  NaN
        return MISSING
    number = float(value)
    if abs(number) < _WHOLE and number.is_integer():
        return str(int(number))
    return OTHER


def column_of(field: SegmentField, array: NDArray[Any] | None, rows: int) -> Sequence[Any] | None:
    """The value of a field in each row.

    Args:
        field: The field.
        array: Its input; axis 0 is rows, or all of it is one row.
        rows: Rows of the request or the batch.

    Returns:
        ``None`` if the input is not there, or too short.
    """
    if array is None or not rows:
        return None
    by_rows = array if array.shape[:1] == (rows,) else array[None]
    if len(by_rows) != rows:
        return None
    flat = by_rows.reshape(rows, -1)
    place = max(0, field.element)
    if place >= flat.shape[1]:
        return None
    values: Sequence[Any] = flat[:, place].tolist()
    return values
