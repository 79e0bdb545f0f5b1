"""Large JSON bodies: long lists of numbers through simdjson, the rest through orjson.

orjson must make a Python object of every number, simdjson writes them straight into a buffer: two
to three times faster from a few hundred numbers on. The body is cut in two: the *skeleton*, in
which each long list after a ``"data":`` is replaced by a mark, is read by orjson, and the lists by
simdjson. This is sound:

- A body with a backslash is left alone, so a quote in it always begins or ends a string, and a
  mark, which decodes to a control character, cannot be spelt by the client.
- A list that was cut out is one complete JSON value, or simdjson refuses it. The skeleton with
  marks in place of values is valid JSON exactly if the body is, and then both mean the same.

Whatever is unusual, every error among it, goes the ordinary way: the result and the messages are
those of `json.decode` without simdjson.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from penstock.server.errors import ApiError

from .request import build

if TYPE_CHECKING:
    from penstock.runtimes.contract import Array

    from .messages import InferRequest
    from .signature import WireInput, WireSignature

#: Shorter lists are as fast the ordinary way, and bodies below this have no longer ones.
MIN_LIST_BYTES: Final = 4096

#: Rows of nested lists are checked one by one, which shorter ones do not pay back.
MIN_NESTED_ROW: Final = 16

#: Parsers keep their buffers for the next list unless it was larger than this.
MAX_KEPT_BYTES: Final = 4 * 1024 * 1024

_KEY: Final = b'"data"'
_MARK: Final = "\1"
_SPACE: Final = b" \t\r\n"

#: simdjson's letter for a buffer's elements, by numpy kind, and their type.
_BUFFER_OF: Final = {
    "f": ("d", np.dtype(np.float64)),
    "i": ("i", np.dtype(np.int64)),
    "u": ("u", np.dtype(np.uint64)),
}

#: What simdjson raises for what it cannot read, or cannot put into the wanted buffer, and numpy for
#: numbers that do not fit.
_UNUSUAL: Final = (ValueError, TypeError, RuntimeError, AttributeError, ArithmeticError, KeyError)


def decode(body: bytes, wire: WireSignature) -> InferRequest | None:
    """Read an inference request with long lists of numbers.

    Returns:
        The request, or ``None`` if the ordinary way must read it.
    """
    if _Parser is None or b"\\" in body:
        return None
    skeleton, lists = _cut(body)
    if not lists:
        return None
    try:
        return build(orjson.loads(skeleton), wire, _Reader(lists).read)
    except (ApiError, *_UNUSUAL):
        return None


def _cut(body: bytes) -> tuple[bytes, list[bytes]]:
    """The skeleton of a body, and the long lists that were cut out of it."""
    kept: list[bytes] = []
    lists: list[bytes] = []
    done = 0
    key = body.find(_KEY)
    while key >= 0:
        # Lists of numbers hold no quote: up to the next one there is only this list and what
        # closes around it. No search goes further, so the whole is linear in the body.
        limit = body.find(b'"', key + len(_KEY))
        limit = len(body) if limit < 0 else limit
        begin = body.find(b"[", key, limit)
        close = body.find(b"}", key, limit)
        end = body.rfind(b"]", key, limit if close < 0 else close) + 1
        between = body[key + len(_KEY) : begin] if 0 <= begin < end else b""
        if between.strip(_SPACE) == b":" and end - begin >= MIN_LIST_BYTES:
            kept.append(body[done:begin])
            kept.append(b'"\\u0001%d"' % len(lists))
            lists.append(body[begin:end])
            done = end
        key = body.find(_KEY, max(limit, end))
    kept.append(body[done:])
    return b"".join(kept), lists


class _Reader:
    """Reads marked lists; a `request.Reader` that raises for whatever is unusual."""

    __slots__ = ("_lists",)

    def __init__(self, lists: list[bytes]) -> None:
        self._lists = lists

    def read(self, entry: dict[str, Any], spec: WireInput, shape: list[int], size: int) -> Array:
        mark = entry["data"]
        if type(mark) is not str or mark[:1] != _MARK:
            raise ValueError("a short list among long ones")
        return _numbers(self._lists[int(mark[1:])], spec, shape, size)


def _numbers(text: bytes, spec: WireInput, shape: list[int], size: int) -> Array:
    letter, wide = _BUFFER_OF[spec.dtype.kind]
    parsed = _parser(text).parse(text)
    depth = text.count(b"[")
    if depth != 1 and not (depth == _lists_in(shape) and _regular(parsed, shape)):
        raise ValueError("nested in another way than the shape")
    numbers = np.frombuffer(parsed.as_buffer(of_type=letter), wide)
    if numbers.size != size:
        raise ValueError("another number of elements than the shape")
    if wide.kind != "f" and spec.dtype.itemsize < wide.itemsize:
        limits = np.iinfo(str(spec.dtype))
        if numbers.min() < limits.min or numbers.max() > limits.max:
            raise OverflowError
    with np.errstate(over="raise"):
        return numbers.astype(spec.dtype, copy=False).reshape(shape)


def _lists_in(shape: list[int]) -> int:
    """How many lists a tensor of this shape is when nested, or -1 if its rows are too short."""
    if not shape or shape[-1] < MIN_NESTED_ROW:
        return -1
    lists = total = 1
    for dimension in shape[:-1]:
        lists *= dimension
        total += lists
    return total


def _regular(parsed: Any, shape: list[int]) -> bool:
    if len(parsed) != shape[0]:
        return False
    return len(shape) == 1 or all(_regular(child, shape[1:]) for child in parsed)


def _optional_parser() -> Any:
    try:
        from simdjson import Parser  # the extra "simdjson"
    except ImportError:
        return None
    return Parser


_Parser: Any = _optional_parser()
_local = threading.local()


def _parser(text: bytes) -> Any:
    """This thread's parser, or a new one for a list so long that its buffers should not stay."""
    if len(text) > MAX_KEPT_BYTES:
        return _Parser()
    parser = getattr(_local, "parser", None)
    if parser is None:
        parser = _local.parser = _Parser()
    return parser
