"""Reads the segments of a request from its decoded inputs, or from its headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from penstock.monitoring.samples.privacy import hash_value
from penstock.monitoring.segments.field import (
    MISSING,
    SegmentField,
    text_name,
    value_name,
)
from penstock.monitoring.segments.header import HEADER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array


class Head(Protocol):
    """The head of a request."""

    def value(self, name: bytes) -> bytes:
        """The first value of a header; empty if there is none."""
        ...


class SegmentReader(Protocol):
    """Reads one declared field of a version.

    Attributes:
        field: The field.
    """

    field: SegmentField

    def name(self, inputs: Sequence[Array | None], head: Head) -> str:
        """The name of the segment of a request.

        Args:
            inputs: One array for each input of the signature.
            head: Head of the request.
        """
        ...


class HeaderSegment:
    """Reads a request header. All rows of a request are in one segment.

    Attributes:
        field: The field.

    Args:
        name: Name of the field: `HEADER` and the name of the header in lower case.
    """

    __slots__ = ("_header", "field")

    def __init__(self, name: str) -> None:
        self.field = SegmentField(name, "")
        self._header = name.removeprefix(HEADER).encode()

    def name(self, inputs: Sequence[Array | None], head: Head) -> str:  # noqa: ARG002  contract
        """See `SegmentReader.name`."""
        return self.of(head)

    def of(self, head: Head) -> str:
        """The name of the segment of a request with this head."""
        return text_name(head.value(self._header))


class InputSegment:
    """Reads an element of an input. A request counts in the segment of its first row.

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

    def name(self, inputs: Sequence[Array | None], head: Head) -> str:  # noqa: ARG002  contract
        """See `SegmentReader.name`."""
        array = inputs[self._position]
        if array is None or array.size <= self._element:
            return MISSING
        value: Any = array.item(self._element)
        return value_name(value if self._key is None else hash_value(value, self._key))
