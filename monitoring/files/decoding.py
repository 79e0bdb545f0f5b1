"""The one decoder: plain values, JSON or msgpack as the types that a caller declares.

msgspec checks and converts. What it refuses is said in one way, whatever the format: the source,
the place in it (``rollout.steps[2]``), what was found there, and what was expected.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

import msgspec

T = TypeVar("T")

_MAX_DIGITS: Final = 20
_ESCAPED_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


class ContentError(ValueError):
    """The content is not what it must be; the message names source, place and expectation."""


@runtime_checkable
class Parsed(Protocol):
    """A class whose values are written in another form, such as a duration as ``5m``."""

    @classmethod
    def parse(cls, content: Any) -> Any:
        """The value of what was written.

        Raises:
            ValueError: It is not understood; the message says what was expected.
        """


def convert(
    kind: type[T],
    content: Any,
    source: str,
    place: str = "",
    *,
    closed: bool = False,
    finite: bool = False,
    noun: str = "an object",
    error: type[Exception] = ContentError,
) -> T:
    """Plain values as a type: a dataclass, a `msgspec.Struct`, or what these hold.

    Args:
        kind: Type to make. A key that is missing has the default of its field.
        content: As JSON or TOML were decoded.
        source: Names the content in errors, such as the path of a file.
        place: Path of `content` in the source.
        closed: Whether keys that the type does not know are refused in dataclasses, too.
        finite: Whether NaN and infinities are refused; what reads JSON and TOML has done so.
        noun: Name of an object in errors, such as ``a table``.
        error: Class of the exception.

    Raises:
        ContentError: Or `error`: something is not of its type, out of its range, or not known.
    """
    try:
        if finite:
            _check_finite(content, place)
        if closed and content:
            _check_known(kind, content, place)
        return msgspec.convert(content, kind, dec_hook=_decode_other)
    except msgspec.ValidationError:
        from .explanation import explain  # as below

        reason = explain(kind, content, place, _decode_other, noun)
    except RecursionError:
        reason = "nested too deeply"
    except ValueError as found:
        reason = str(found)
    raise error(f"{source}: {reason}" if source else reason)


def decode_json(content: bytes, source: str, *, own: bool = False) -> Any:
    """Plain values of JSON whose every number fits in 64 bits and whose every text is UTF-8.

    This is not msgspec's reader of JSON, which takes whole numbers of any length.

    Args:
        content: UTF-8.
        source: Names it in errors.
        own: Whether this server wrote it: then numbers may be larger, and a text may have what JSON
            can escape and UTF-8 cannot write.

    Raises:
        ContentError: It is not JSON. NaN and infinities, which Python would accept, are not.
    """
    try:
        if own:
            return json.loads(content, parse_constant=_refuse)
        decoded = json.loads(content, parse_constant=_refuse, parse_int=_whole, parse_float=_finite)
        if _ESCAPED_SURROGATE.search(content):
            json.dumps(decoded, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        reason = "a text has half of a surrogate pair, which UTF-8 cannot write"
    except RecursionError:
        reason = "not valid JSON: nested too deeply"
    except ValueError as error:
        reason = f"not valid JSON: {str(error)[:300]}"
    else:
        return decoded
    raise ContentError(f"{source}: {reason}")


def read_json(kind: type[T], content: bytes, source: str, *, closed: bool = False) -> T:
    """JSON as a type; see `decode_json` and `convert`.

    Raises:
        ContentError: It is not JSON, or not of this type.
    """
    return convert(kind, decode_json(content, source), source, closed=closed)


def pack(value: Any) -> bytes:
    """Msgpack of plain values, dataclasses and structs; a path becomes its text.

    Raises:
        TypeError: There is something else in it.
    """
    return msgspec.msgpack.encode(value, enc_hook=_encode_other)


def unpack(kind: type[T], data: bytes | bytearray | memoryview, source: str) -> T:
    """Decode bytes of `pack` as a type.

    Args:
        kind: Type to make.
        data: Msgpack.
        source: Names it in errors.

    Raises:
        ContentError: It is not msgpack, or not of this type.
    """
    try:
        try:
            return msgspec.msgpack.decode(data, type=kind, dec_hook=_decode_other)
        except msgspec.ValidationError:
            from .explanation import explain  # as below

            reason = explain(kind, msgspec.msgpack.decode(data), "", _decode_other)
    except RecursionError:
        reason = "nested too deeply"
    except ValueError as error:
        reason = f"not valid msgpack: {error}"
    raise ContentError(f"{source}: {reason}")


def _encode_other(value: Any) -> Any:
    """What stands for values of types that msgspec does not know."""
    if isinstance(value, Path):
        return str(value)
    for plain in (float, str):  # a number of numpy is one of Python, too
        if isinstance(value, plain):
            return plain(value)
    raise TypeError(f"{type(value).__name__} cannot be written as msgpack")


def _decode_other(kind: type, content: Any) -> Any:
    """Values of types that msgspec does not know."""
    if kind is Path:
        if not isinstance(content, str):
            raise ValueError("a path is a text")
        return Path(content)
    if isinstance(kind, Parsed):
        return kind.parse(content)
    raise RuntimeError(f"no decoder knows {kind}")


def _check_known(kind: Any, content: Any, place: str) -> None:
    from .explanation import unknown_key  # most decoded content needs no words

    if problem := unknown_key(kind, content, place):
        raise ValueError(problem)


def _check_finite(content: Any, place: str) -> None:
    if isinstance(content, float):
        if not math.isfinite(content):
            raise ValueError(f"{place or 'it'} is {content}, expected a finite number")
    elif isinstance(content, dict):
        for key, one in content.items():
            _check_finite(one, f"{place}.{key}" if place else str(key))
    elif isinstance(content, list | tuple):
        for number, one in enumerate(content):
            _check_finite(one, f"{place}[{number}]")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS or not -(1 << 63) <= (number := int(text)) < 1 << 64:
        raise ValueError(f"a whole number of {len(text)} digits, expected one of 64 bits")
    return number


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is too large for a number of 64 bits")
    return number
