"""What a JSON text would cost to decode, counted before it is decoded."""

from __future__ import annotations

from typing import Final

from penstock.server.errors import BodyTooLarge

#: Looked at at once, so that no call into C holds the interpreter lock for long.
WINDOW_BYTES: Final = 64 * 1024

_QUOTE: Final = b'"'
_STRUCTURE: Final = b",:[{"


def check_values(text: bytes, most: int) -> None:
    """Refuse a text that holds more values than it may.

    A decoder makes an object of 50 to 100 bytes of each value, however short the value is:
    ``[],[],[]`` becomes twenty times as large. Commas, colons and opening brackets outside of
    strings are counted, which is at least the number of values. The time is linear, and memory is
    that of a window. In a text that is no JSON the count may be wrong from the first error on,
    where decoders stop.

    Args:
        text: As received.
        most: Values that are allowed.

    Raises:
        BodyTooLarge: There are more.
    """
    count, position, inside = 0, 0, False
    while position < len(text):
        window = text[position : position + WINDOW_BYTES]
        backslashes = len(window) - len(window.rstrip(b"\\"))
        if backslashes % 2:  # an escape is not cut in two
            window = text[position : position + len(window) + 1]
        position += len(window)
        if b"\\" in window:
            window = window.replace(b"\\\\", b"__").replace(b'\\"', b"__")
        parts = window.split(_QUOTE)
        outside = b"".join(parts[inside::2])
        count += len(outside) - len(outside.translate(None, _STRUCTURE))
        if count > most:
            raise BodyTooLarge(
                f"the JSON holds more than {most} values beside long lists of numbers; "
                "send fewer in one request"
            )
        inside ^= len(parts) % 2 == 0
