"""The bytes before a text, a message or a tensor: which field it is, and its length.

The format: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from typing import Final

_BITS: Final = 7
_MORE: Final = 0x80


def length_prefix(key: int, length: int) -> bytes:
    """The bytes before the content of a field.

    Args:
        key: Number of the field, times eight, plus 2 for content with a length; below 128.
        length: Length of the content in bytes.
    """
    groups = bytearray((key,))
    while length >= _MORE:
        groups.append(length & (_MORE - 1) | _MORE)
        length >>= _BITS
    groups.append(length)
    return bytes(groups)
