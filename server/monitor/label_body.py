"""A body of labels, decoded at a bounded cost."""

from __future__ import annotations

from typing import Any, Final

import msgpack
import orjson

from penstock.server.codecs.json_values import check_values
from penstock.server.errors import BodyTooLarge

#: Values of a label: its keys, what they are for, and itself.
_VALUES_OF_A_LABEL: Final = 16
_KEYS_OF_A_LABEL: Final = 32


def read_body(body: bytes, most: int, *, packed: bool) -> Any:
    """What a body of labels says: a label, or a list of them.

    A label holds numbers and texts only, so nothing in a body nests deeper than that.

    Args:
        body: JSON, or msgpack.
        most: Labels in it.
        packed: Whether it is msgpack.

    Raises:
        ValueError: It is neither, or holds more than labels do; the message says what.
    """
    try:
        return _read_packed(body, most) if packed else _read_json(body, most)
    except BodyTooLarge as error:
        raise ValueError(error.message) from None
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException):
        raise ValueError(f"the body is not {'msgpack' if packed else 'JSON'}") from None


def _read_json(body: bytes, most: int) -> Any:
    check_values(body, most * _VALUES_OF_A_LABEL)
    return orjson.loads(body)


def _read_packed(body: bytes, most: int) -> Any:
    walker = msgpack.Unpacker(
        max_buffer_size=max(1, len(body)), max_array_len=0, max_map_len=_KEYS_OF_A_LABEL
    )
    walker.feed(body)
    is_list = body[:1] in {b"\xdc", b"\xdd"} or (body[:1] and body[0] & 0xF0 == 0x90)  # noqa: PLR2004
    if not is_list:
        content = walker.unpack()
    else:
        count = walker.read_array_header()
        if count > most:
            raise BodyTooLarge(f"{count} labels at once, expected at most {most}")
        content = [walker.unpack() for _ in range(count)]
    if walker.tell() != len(body):
        raise ValueError("bytes follow its end")
    return content
