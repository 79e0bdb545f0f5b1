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

from typing import TYPE_CHECKING, Any, Final

import orjson

from penstock.server.errors import ApiError

from . import numbers
from .request import build

if TYPE_CHECKING:
    from penstock.runtimes.contract import Array

    from .messages import InferRequest
    from .signature import WireInput, WireSignature

#: Shorter lists are as fast the ordinary way, and bodies below this have no longer ones.
MIN_LIST_BYTES: Final = 4096

_KEY: Final = b'"data"'
_MARK: Final = "\1"
_SPACE: Final = b" \t\r\n"
#: Most places that are searched for a list; a model has far fewer inputs.
MAX_KEYS: Final = 1024
#: Most bytes between a key and its list.
MAX_GAP_BYTES: Final = 64


def decode(body: bytes, wire: WireSignature) -> InferRequest | None:
    """Read an inference request with long lists of numbers.

    Args:
        body: The body.
        wire: The model's signature.

    Returns:
        The request, or ``None`` if the ordinary way must read it.
    """
    if not numbers.AVAILABLE or b"\\" in body:
        return None
    skeleton, spans = cut(body, _MARK)
    if not spans:
        return None
    lists = [body[begin:end] for begin, end in spans.values()]
    try:
        document = orjson.loads(skeleton)
        return build(document, wire, _Reader(lists).read)
    except (ApiError, *numbers.UNUSUAL):
        return None


def cut(body: bytes, mark: str) -> tuple[bytes, dict[int, tuple[int, int]]]:
    """The skeleton of a body, and where the long lists are that were cut out of it, by number.

    Args:
        body: The body.
        mark: Stands in place of a list, with its number behind it.
    """
    kept: list[bytes] = []
    spans: dict[int, tuple[int, int]] = {}
    done = 0
    key = body.find(_KEY)
    for _ in range(MAX_KEYS):
        if key < 0:
            break
        # Lists of numbers hold no quote: up to the next one there is only this list and what
        # closes around it. No search goes further, so the whole is linear in the body.
        limit = body.find(b'"', key + len(_KEY))
        limit = len(body) if limit < 0 else limit
        begin = body.find(b"[", key, limit)
        close = body.find(b"}", key, limit)
        end = body.rfind(b"]", key, limit if close < 0 else close) + 1
        between = (
            body[key + len(_KEY) : min(begin, key + MAX_GAP_BYTES)] if 0 <= begin < end else b""
        )
        if between.strip(_SPACE) == b":" and end - begin >= MIN_LIST_BYTES:
            kept.append(body[done:begin])
            kept.append(orjson.dumps(f"{mark}{len(spans)}"))
            spans[len(spans)] = begin, end
            done = end
        key = body.find(_KEY, max(limit, end))
    if not spans:
        return body, spans
    kept.append(body[done:])
    return b"".join(kept), spans


class _Reader:
    """Reads marked lists; a `request.Reader` that raises for whatever is unusual."""

    __slots__ = ("_lists",)

    def __init__(self, lists: list[bytes]) -> None:
        self._lists = lists

    def read(self, entry: dict[str, Any], spec: WireInput, shape: list[int], size: int) -> Array:
        mark = entry["data"]
        if type(mark) is not str or mark[:1] != _MARK:
            raise ValueError("a short list among long ones")
        return numbers.read(self._lists[int(mark[1:])], spec, shape, size)
