"""Whether a converted model answers as the model that it was made of. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from penstock.runtimes.contract import Array

#: A number ``y`` may be off by ``ABSOLUTE + RELATIVE * |y|``. Sums of a thousand trees in float32
#: differ by about 1e-6 of a value; a row that takes another branch differs by far more.
ABSOLUTE: Final = 1e-5
RELATIVE: Final = 1e-4


@dataclass(frozen=True, slots=True)
class OutputParity:
    """How far one output of the two models is apart.

    Attributes:
        name: Name of the output of the converted model.
        rows: Number of rows.
        worst_absolute: Largest absolute difference; 0 for labels.
        worst_relative: Largest difference, as a part of the original's value; 0 for labels.
        changed: Rows whose label, or whose most probable class, is another one.
        first_changed: The first of these rows, from 0; ``None`` if there is none.
        beyond: Rows with a difference that is too large.
    """

    name: str
    rows: int
    worst_absolute: float
    worst_relative: float
    changed: int
    first_changed: int | None
    beyond: int

    @property
    def agrees(self) -> bool:
        """Whether the converted model may be published for the original."""
        return not self.changed and not self.beyond


def compare(name: str, right: Array, given: Array, *, classes: bool = False) -> OutputParity:
    """Compare one answer of both models to the same rows.

    Args:
        name: Name of the output of the converted model.
        right: The answer of the original; labels are numbers or texts, anything else is float64.
        given: The answer of the converted model.
        classes: Whether each row has the probabilities of classes.
    """
    rows = len(right)
    none = np.zeros(rows)
    if right.dtype.kind != "f":
        pairs = zip(right.ravel(), given.ravel(), strict=True)
        changed = np.array([_text(one) != _text(other) for one, other in pairs], np.bool_)
        return _parity(name, none, none, changed, none > 0)
    wide, other = (one.astype(np.float64).reshape(rows, -1) for one in (right, given))
    if wide.shape != other.shape:
        lost = np.full(rows, np.inf)
        return _parity(name, lost, lost, lost > 0, lost > 0)
    same = (wide == other) | (np.isnan(wide) & np.isnan(other))
    with np.errstate(all="ignore"):
        off = _known(np.where(same, 0.0, np.abs(wide - other)))
        relative = _known(np.where(same, 0.0, off / np.abs(wide)))
        near = np.isfinite(off) & (off <= ABSOLUTE + RELATIVE * np.abs(wide))
    beyond = ~(same | near).all(axis=1)
    # Where two classes are equally probable, either may come first.
    changed = (wide.argmax(axis=1) != other.argmax(axis=1)) & beyond & classes
    return _parity(name, off.max(axis=1), relative.max(axis=1), changed, beyond)


def _known(differences: Array) -> Array:
    """The difference of a number from NaN is no number: it counts as infinite."""
    return np.where(np.isnan(differences), np.inf, differences)


def _parity(
    name: str, absolute: Array, relative: Array, changed: Array, beyond: Array
) -> OutputParity:
    places = np.flatnonzero(changed)
    return OutputParity(
        name,
        len(changed),
        float(absolute.max(initial=0.0)),
        float(relative.max(initial=0.0)),
        len(places),
        int(places[0]) if len(places) else None,
        int(beyond.sum()),
    )


def _text(label: Any) -> str:
    """A label in one form: models give whole numbers as floats, and texts as bytes."""
    if isinstance(label, bytes):
        return label.decode()
    number = label.item() if isinstance(label, np.generic) else label
    whole = isinstance(number, float) and number.is_integer()
    return str(int(number) if whole or isinstance(number, bool) else number)
