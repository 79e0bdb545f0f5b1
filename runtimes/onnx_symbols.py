"""Names that several dimensions of a model's inputs share, such as the length of a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .contract import Array

#: Input and axis: position in the signature, name, axis.
Place = tuple[int, str, int]


@dataclass(frozen=True, slots=True)
class SharedSymbols:
    """Where each name stands that the model uses for several dimensions.

    onnxruntime runs inputs that differ there, if no operator minds. So the names are asked only
    when a run has failed.
    """

    places: Mapping[str, tuple[Place, ...]]

    def disagreement(self, inputs: Sequence[Array | None]) -> str:
        """Which inputs differ in a dimension of one name, for people; empty if none do."""
        for symbol, places in self.places.items():
            found = [
                (name, list(array.shape), array.shape[axis])
                for position, name, axis in places
                if (array := inputs[position]) is not None and axis < array.ndim
            ]
            if len({size for _, _, size in found}) > 1:
                shapes = ", ".join(f"'{name}' {shape}" for name, shape, _ in found)
                return (
                    f"inputs must have one size for the dimension '{symbol}', which the model "
                    f"gives all of them; the request has {shapes}"
                )
        return ""


NO_SYMBOLS: Final = SharedSymbols({})


def shared_symbols(session: Any, names: Sequence[str]) -> SharedSymbols:
    """The names of a session's inputs.

    Args:
        session: An ``onnxruntime.InferenceSession``.
        names: Names of the inputs, in the signature's order.
    """
    places: dict[str, list[Place]] = {}
    for node in session.get_inputs():
        for axis, size in enumerate(node.shape):
            if isinstance(size, str) and size:
                places.setdefault(size, []).append((names.index(node.name), node.name, axis))
    return SharedSymbols({name: tuple(found) for name, found in places.items() if len(found) > 1})
