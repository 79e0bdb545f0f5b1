"""JSON bodies so large that decoding them as a whole would cost others.

orjson makes an object of each value and holds the interpreter lock from beginning to end. From
`LARGE_BYTES` on a body is therefore read in two parts, as in `large`: long lists of numbers by
`long_lists`, piece by piece, and the *skeleton*, in which a mark stands in place of each, by orjson
after its values were counted. There is no other way for such a body, so its cost is bounded:

- The mark holds random digits of this request, so no client can spell it.
- A list that was cut out stands behind the key ``"data"`` and a colon, outside of strings: its text
  has no quote, and the key's two quotes stay in the skeleton. If the body is JSON the key is the
  end of a name or a name, and a value follows.
- Each list must be read as the tensor of an input, which proves that it is a list. A body with
  another one is refused.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

import orjson

from penstock.server.errors import BodyTooLarge, InvalidRequest

from . import large, long_lists
from .json_data import malformed, read
from .json_values import check_values

if TYPE_CHECKING:
    from penstock.runtimes.contract import Array

    from .signature import WireInput

#: Smaller bodies cost little however they are decoded: some megabytes and milliseconds.
LARGE_BYTES: Final = 64 * 1024
#: Text beside long lists of numbers, such as elements of BYTES inputs.
MAX_TEXT_BYTES: Final = 16 << 20
#: Values in that text, names of keys among them.
MAX_VALUES: Final = 1 << 19


class LargeJson:
    """A JSON text of which the long lists are not read yet.

    Args:
        text: The text.

    Attributes:
        document: Decoded content, with marks in place of long lists.

    Raises:
        InvalidRequest: It is not JSON.
        BodyTooLarge: It holds too many values, or too long texts.
    """

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._mark = f"\1{secrets.token_hex(8)}:"
        skeleton, self._spans = large.cut(text, self._mark)
        if len(skeleton) > MAX_TEXT_BYTES:
            raise BodyTooLarge(
                f"the JSON has over {MAX_TEXT_BYTES} bytes beside long lists of numbers; send "
                "texts as binary data or msgpack, or fewer in one request"
            )
        if len(skeleton) > LARGE_BYTES:
            check_values(skeleton, MAX_VALUES)
        try:
            self.document: Any = orjson.loads(skeleton)
        except orjson.JSONDecodeError as error:
            raise malformed(error) from None

    def read(self, entry: dict[str, Any], spec: WireInput, shape: list[int], size: int) -> Array:
        """The tensor of an input; a `request.Reader`."""
        mark = entry.get("data")
        if type(mark) is not str or not mark.startswith(self._mark):
            return read(entry, spec, shape, size)
        start, end = self._spans.pop(int(mark[len(self._mark) :]))
        return long_lists.read_list(self._text, start, end, spec, shape, size)

    def check_all_read(self) -> None:
        """Whether each long list was the tensor of an input.

        Raises:
            InvalidRequest: One was not.
        """
        for start, end in self._spans.values():
            raise InvalidRequest(
                f"a 'data' of {end - start} bytes belongs to no input of the request"
            )
