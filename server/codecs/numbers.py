"""Lists of numbers through simdjson, which makes no Python object of each."""

from __future__ import annotations

import threading
from codecs import BOM_UTF8
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from penstock.runtimes.contract import Array

    from .signature import WireInput

#: Rows of nested lists are checked one by one, which shorter ones do not pay back.
MIN_NESTED_ROW: Final = 16

#: Parsers keep their buffers for the next list unless it was larger than this.
MAX_KEPT_BYTES: Final = 4 * 1024 * 1024

#: simdjson's letter for a buffer's elements, by numpy kind, and their type.
_BUFFER_OF: Final = {
    "f": ("d", np.dtype(np.float64)),
    "i": ("i", np.dtype(np.int64)),
    "u": ("u", np.dtype(np.uint64)),
}

#: What stands behind each row where rows are read together, and its value; a double holds it
#: exactly, and no datatype below `_WIDEST` bytes does.
_INTEGER_MARK: Final = (1 << 52) - 1
_MARK_OF: Final[dict[str, tuple[bytes, float]]] = {
    "f": (b",1e300,", 1e300),
    "i": (b",%d," % _INTEGER_MARK, _INTEGER_MARK),
    "u": (b",%d," % _INTEGER_MARK, _INTEGER_MARK),
}
_WIDEST: Final = 8

#: What simdjson raises for what it cannot read, or cannot put into the wanted buffer, and numpy for
#: numbers that do not fit.
UNUSUAL: Final = (ValueError, TypeError, RuntimeError, AttributeError, ArithmeticError, KeyError)


def read(text: bytes, spec: WireInput, shape: list[int], size: int) -> Array:
    """A JSON list of numbers as an array.

    Args:
        text: The list, flat or nested as `shape` says.
        spec: The input that it is for; of a numeric datatype.
        shape: Dimensions.
        size: Their product.

    Raises:
        UNUSUAL: Anything is odd, so that the ordinary way must read it.
    """
    if text.startswith(BOM_UTF8):
        raise ValueError("simdjson would pass over a byte order mark, which JSON does not have")
    parsed = _parser(text).parse(text)
    if not _is_flat(text) and not (
        text.count(b"[") == _lists_in(shape) and _regular(parsed, shape)
    ):
        raise ValueError("nested in another way than the shape")
    numbers = _buffer(parsed, spec)
    if numbers.size != size:
        raise ValueError("another number of elements than the shape")
    return _narrowed(numbers, spec).reshape(shape)


def read_rows(texts: list[bytes], spec: WireInput, size: int) -> Array:
    """The numbers of several flat JSON lists, one row each, as an array of two dimensions.

    The texts are joined with a mark behind each and parsed once. A text cannot change what another
    one gives. The proof: the list is flat and simdjson takes nothing but numbers, so it holds no
    string and each comma ends an element. Each mark stands between two commas, so it is an element
    by itself. No other element has the mark's value: it does not fit a datatype of up to four
    bytes, so `_narrowed` refuses it, and for wider ones the marks are counted. So the elements with
    the mark's value are the marks, in order, and if they are where they belong, then each text has
    exactly `size` elements.

    Args:
        texts: The text between the brackets of each list.
        spec: The input that they are for; of a numeric datatype.
        size: Numbers in each.

    Raises:
        UNUSUAL: As for `read`, and a text with another number of elements, or with the mark.
    """
    between, mark = _MARK_OF[spec.dtype.kind]
    rows = len(texts)
    text = b"[%b%b]" % (between.join(texts), between[:-1])
    numbers = _buffer(_parser(text).parse(text), spec).reshape(rows, size + 1)
    if not _is_flat(text) or numbers[:, size].tolist() != [mark] * rows:
        raise ValueError("not flat, or a mark is not where it was put")
    if spec.dtype.itemsize == _WIDEST and np.count_nonzero(numbers == mark) != rows:
        raise ValueError("a number has the value of the mark")
    return _narrowed(numbers[:, :size], spec)


def _buffer(parsed: Any, spec: WireInput) -> Array:
    """All numbers of a list, as wide as JSON has them."""
    letter, wide = _BUFFER_OF[spec.dtype.kind]
    return np.frombuffer(parsed.as_buffer(of_type=letter), wide)


def _narrowed(numbers: Array, spec: WireInput) -> Array:
    if numbers.dtype.kind != "f" and spec.dtype.itemsize < numbers.dtype.itemsize:
        limits = np.iinfo(str(spec.dtype))
        if numbers.min() < limits.min or numbers.max() > limits.max:
            raise OverflowError
    with np.errstate(over="raise"):
        return numbers.astype(spec.dtype, "C", copy=False)


def _is_flat(text: bytes) -> bool:
    """Whether no list follows the first bracket; to count them takes twenty times as long."""
    return text.find(b"[", text.find(b"[") + 1) < 0


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
#: Whether simdjson is installed.
AVAILABLE: Final = _Parser is not None
_local = threading.local()


def _parser(text: bytes) -> Any:
    """This thread's parser, or a new one for a list so long that its buffers should not stay."""
    if len(text) > MAX_KEPT_BYTES:
        return _Parser()
    parser = getattr(_local, "parser", None)
    if parser is None:
        parser = _local.parser = _Parser()
    return parser
