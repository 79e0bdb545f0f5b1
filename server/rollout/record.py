"""Frozen dataclasses as JSON and back, every value checked against its annotation."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from penstock.monitoring.files.decoding import ContentError, convert

T = TypeVar("T")


class RecordError(ContentError):
    """The content is no record of this kind; the message names key and expectation."""


def encode(record: Any) -> dict[str, Any]:
    """A dataclass as values that JSON can hold."""
    plain: dict[str, Any] = msgspec.to_builtins(record)
    return plain


def decode(kind: type[T], content: Any) -> T:
    """The reverse of `encode`. A key that is missing has its default.

    Raises:
        RecordError: A value is not of the kind that its field has, or a key is unknown.
    """
    return convert(kind, content, "", closed=True, finite=True, error=RecordError)
