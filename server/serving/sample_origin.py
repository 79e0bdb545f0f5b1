"""What samples say of the version that they come from: its names, and those of its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.monitoring.samples.run_sample import Origin

if TYPE_CHECKING:
    from penstock.runtimes.contract import Signature, TensorSpec

#: Names of a tensor that travel with each frame of samples; the elements of larger rows have no
#: columns in the log.
_MOST_NAMES: Final = 200
#: The same of all inputs, or of all outputs; the log has no more columns either.
_MOST_IN_ALL: Final = 1000


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
        input_columns=_bounded({one.name: _names(one) for one in signature.inputs}),
        output_columns=_bounded(
            {
                one.name: _names(one, f"{one.name}_")
                for one in signature.outputs
                if len(one.columns) > 1
            }
        ),
    )


def _bounded(names: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The names that travel: not too many, and none that says what the name of its tensor says."""
    found: dict[str, tuple[str, ...]] = {}
    left = _MOST_IN_ALL
    for tensor, own in names.items():
        if own not in {(), (tensor,)} and len(own) <= min(left, _MOST_NAMES):
            found[tensor] = own
            left -= len(own)
    return found


def _names(spec: TensorSpec, prefix: str = "") -> tuple[str, ...]:
    """Without halves of characters, which no encoding has; an empty name is none."""
    names = (one.name.encode(errors="replace").decode().strip() for one in spec.columns)
    return tuple(f"{prefix}{name}" if name else "" for name in names)
