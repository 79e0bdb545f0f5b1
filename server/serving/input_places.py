"""Names of what the inputs of a version hold: an input, an element, a column or a feature."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from penstock.runtimes.contract import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.server.codecs.signature import WireInput, WireSignature

#: The position of an input in the signature, and the element of its rows; ``None`` for all.
Place = tuple[int, int | None]

_ELEMENT: Final = re.compile(r"(.+)\[(\d+)\]")


def place_of(name: str, wire: WireSignature, features: Sequence[str]) -> Place | None:
    """The place that a name means; ``None`` if it means none.

    Args:
        name: An input, ``input[3]`` for one element of its rows, a column that the signature names,
            or one of `features`.
        wire: The signature.
        features: Names of all input scalars in order, if the operator gave any.
    """
    return _named(wire, features).get(name) or _element(name, wire)


def known_names(wire: WireSignature, features: Sequence[str]) -> str:
    """All names that there are, for messages."""
    columns = [name for spec in wire.inputs.values() for name in spec.columns]
    return ", ".join(dict.fromkeys([*wire.inputs, *columns, *features]))


def row_size(spec: WireInput) -> int | None:
    """Elements of a row of an input; ``None`` if its shape is open."""
    shape = spec.shape[1:] if spec.by_rows else spec.shape
    return None if VARIABLE in shape else math.prod(shape)


def _named(wire: WireSignature, features: Sequence[str]) -> dict[str, Place]:
    found: dict[str, Place] = {}
    names = iter(features)
    for name, spec in wire.inputs.items():
        size = row_size(spec)
        if len(spec.columns) == size:
            for column, feature in enumerate(spec.columns):
                found.setdefault(feature, (spec.position, column))
        if features and size is not None:
            found |= {
                feature: (spec.position, column)
                for column, feature in zip(range(size), names, strict=False)
            }
        found[name] = spec.position, None
    return found


def _element(name: str, wire: WireSignature) -> Place | None:
    match = _ELEMENT.fullmatch(name)
    spec = wire.inputs.get(match[1]) if match else None
    size = None if spec is None else row_size(spec)
    if match is None or spec is None or size is None or int(match[2]) >= size:
        return None
    return spec.position, int(match[2])
