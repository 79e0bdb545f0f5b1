"""The names of the classes that a model tells apart, as its signature has them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock.runtimes.contract import Signature, TensorSpec

_MATRIX: Final = 2


def class_names(signature: Signature | None) -> tuple[str, ...]:
    """The classes in the order of the probabilities; empty if they have no names.

    A label that is a number is the position of its class only if its own column has the names: a
    model may number its classes otherwise. Beside another one, names of the probabilities say
    nothing of it.

    Args:
        signature: Of the manifest of a version; ``None`` if it has none.
    """
    if signature is None:
        return ()
    labels = [one for one in signature.outputs if _is_label(one)]
    for spec in labels:
        if spec.columns and spec.columns[0].categories:
            return tuple(map(str, spec.columns[0].categories))
    if any(one.datatype != "BYTES" for one in labels):
        return ()
    matrices = (one for one in signature.outputs if len(one.shape) == _MATRIX)
    return next((tuple(c.name for c in one.columns) for one in matrices if one.columns), ())


def _is_label(spec: TensorSpec) -> bool:
    """Whether an output is a text, a whole number or a truth value for each row."""
    return spec.shape[1:] in {(), (1,)} and not spec.datatype.startswith(("FP", "BF"))
