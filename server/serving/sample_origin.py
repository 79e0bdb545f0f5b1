"""What samples say of the version that they come from: its names, and those of its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.monitoring.samples.run_sample import Origin

if TYPE_CHECKING:
    from penstock.runtimes.contract import Signature, TensorSpec

#: Names of a tensor that travel with each frame of samples; the elements of larger rows have no
#: columns in the log.
_MOST_NAMES: Final = 200


def origin_of(model: str, version: str, signature: Signature) -> Origin:
    """The origin of a version's samples. Pure.

    The element of an input has the name of its column, and the score of a class the name of the
    output and the class: ``probabilities_benign``.

    Args:
        model: Name of the model.
        version: Number of the version, as text.
        signature: With all names of columns and classes that are known.
    """
    return Origin(
        model,
        version,
        tuple(one.name for one in signature.inputs),
        input_columns={one.name: _names(one) for one in signature.inputs if _travels(one)},
        output_columns={
            one.name: _names(one, f"{one.name}_")
            for one in signature.outputs
            if _travels(one) and len(one.columns) > 1
        },
    )


def _travels(spec: TensorSpec) -> bool:
    return 0 < len(spec.columns) <= _MOST_NAMES


def _names(spec: TensorSpec, prefix: str = "") -> tuple[str, ...]:
    """Without halves of characters, which no encoding has; an empty name is none."""
    names = (one.name.encode(errors="replace").decode().strip() for one in spec.columns)
    return tuple(f"{prefix}{name}" if name else "" for name in names)
