"""Reads the segments of a request from its decoded inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.monitoring.samples.privacy import hash_value
from penstock.monitoring.segments.field import MISSING, SegmentField, value_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array


class SegmentReader:
    """Reads one declared field of a version. A request counts in the segment of its first row.

    Attributes:
        field: The field.

    Args:
        field: The field.
        position: Place of its input in the signature.
        key: Key of the hash that stands for its values; ``None`` if they may be named.
    """

    __slots__ = ("_element", "_key", "_position", "field")

    def __init__(self, field: SegmentField, position: int, key: bytes | None) -> None:
        self.field = field
        self._position = position
        self._element = max(0, field.element)
        self._key = key

    def name(self, inputs: Sequence[Array | None]) -> str:
        """The name of the segment.

        Args:
            inputs: One array for each input of the signature.
        """
        array = inputs[self._position]
        if array is None or array.size <= self._element:
            return MISSING
        value: Any = array.item(self._element)
        return value_name(value if self._key is None else hash_value(value, self._key))
