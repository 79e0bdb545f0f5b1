"""Makes the segments of a version from the declared names of input elements and headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.monitoring.segments.field import SegmentField
from penstock.monitoring.segments.header import HEADER
from penstock.runtimes.contract import VARIABLE, ModelLoadError

from .input_places import known_names, place_of, row_size
from .segment_reader import HeaderSegment, InputSegment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.monitoring.samples.privacy import Privacy
    from penstock.server.codecs.signature import WireInput, WireSignature

    from .segment_reader import SegmentReader
    from .servable import Servable


def declare_segments(
    servable: Servable, names: Sequence[str], features: Sequence[str], subject: str
) -> None:
    """Put the declared segments into force for a version whose privacy rules are set.

    After an error the version has no segments: what it had may be hidden by now.

    Args:
        servable: The version.
        names: ``segments`` of the model.
        features: Names of all input scalars in order, if the operator gave any.
        subject: The input that names the subject of a prediction; may be empty.

    Raises:
        ModelLoadError: A name is none of the version's, or means something that is hidden.
    """
    if not names and not servable.segments:
        return
    servable.divide_by(())
    privacy = servable.origin.privacy
    readers: list[SegmentReader] = [
        HeaderSegment(name)
        if name.startswith(HEADER)
        else _reader(name, servable.wire, features, privacy, subject)
        for name in names
    ]
    servable.divide_by(readers)


def _reader(
    name: str,
    wire: WireSignature,
    features: Sequence[str],
    privacy: Privacy | None,
    subject: str,
) -> InputSegment:
    place = place_of(name, wire, features)
    if place is None:
        known = known_names(wire, features)
        raise ModelLoadError(f"segments: {name!r} is no input of this version; known are {known}")
    position, element = place
    tensor = wire.input_names[position]
    size = _size(wire.inputs[tensor])
    if element is None and size != 1:
        many = "an open number of" if size is None else str(size)
        raise ModelLoadError(
            f"segments: input {tensor!r} has {many} elements a row, expected one; name one of "
            f"them, such as '{tensor}[0]'"
        )
    if tensor == subject:
        raise ModelLoadError(
            f"segments: input {tensor!r} is log.subject, which names persons; expected an input "
            "with few values, such as a country"
        )
    if privacy is not None and tensor in privacy.drop:
        raise ModelLoadError(
            f"segments: input {tensor!r} is in log.drop, so that nobody may see its values; put "
            "it into log.hash to have segments by the hash"
        )
    hashed = privacy is not None and tensor in privacy.hash
    if hashed and size != 1:
        raise ModelLoadError(
            f"segments: input {tensor!r} is in log.hash, which hashes its {size} elements "
            "together; expected an input with one element a row"
        )
    key = privacy.key if hashed and privacy is not None else None
    return InputSegment(
        SegmentField(name, tensor, -1 if element is None else element), position, key
    )


def _size(spec: WireInput) -> int | None:
    """Elements of a row; of an optional input the first axis may be rows."""
    if spec.optional and spec.shape[:1] == (VARIABLE,) and VARIABLE not in spec.shape[1:]:
        size = 1
        for length in spec.shape[1:]:
            size *= length
        return size
    return row_size(spec)
