"""Decoded JSON that was written elsewhere, read with every value checked."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

_MISSING: Final = object()
_MAX_DIGITS: Final = 20
_ESCAPED_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_WORDS: Final = {
    str: "a text",
    int: "a whole number",
    int | float: "a number",
    list: "a list",
    dict: "an object",
    bool: "true or false",
    dict | None: "an object or null",
}


class ContentError(ValueError):
    """The content is not what it must be; the message names source, key and expectation."""


class CheckedObject:
    """A JSON object.

    Args:
        content: As decoded.
        source: Names it in errors, such as a file.
        prefix: Where it is in there, with a dot at the end.
    """

    def __init__(self, content: Any, source: str, prefix: str = "") -> None:
        self._source = source
        self._prefix = prefix
        if not isinstance(content, dict):
            raise ContentError(f"{source}: {prefix.rstrip('.') or 'it'} is not an object")
        self._content: dict[str, Any] = content

    def get(self, key: str, kind: Any, default: Any = _MISSING) -> Any:
        """The value, which must be of this kind: `object` is any, and 1 is not true."""
        value = self._content.get(key, default)
        if value is _MISSING:
            raise ContentError(f"{self._source}: {self._prefix}{key} is missing")
        if kind is object:
            return value
        if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
            raise self.wrong(key, _WORDS[kind])
        return value

    def table(self, key: str, kind: Any) -> dict[str, Any]:
        """An object whose values are all of one kind; empty if it is not there."""
        content = self.get(key, dict, {})
        inner = CheckedObject(content, self._source, f"{self._prefix}{key}.")
        return {name: inner.get(name, kind) for name in content}

    def objects(self, key: str, default: Any = _MISSING) -> list[CheckedObject]:
        """A list of objects."""
        found = enumerate(self.get(key, list, default))
        return [CheckedObject(o, self._source, f"{self._prefix}{key}[{n}].") for n, o in found]

    def inner(self, key: str, default: Any = _MISSING) -> CheckedObject:
        """An object in this one."""
        return CheckedObject(self.get(key, dict, default), self._source, f"{self._prefix}{key}.")

    def items(self, key: str) -> list[tuple[str, CheckedObject]]:
        """The objects in an object."""
        prefix = f"{self._prefix}{key}."
        content = self.get(key, dict, {})
        return [(n, CheckedObject(o, self._source, f"{prefix}{n}.")) for n, o in content.items()]

    def wrong(self, key: str, expected: str) -> ContentError:
        """The error that says what is there and what should be."""
        value = repr(self._content.get(key))[:100]
        return ContentError(f"{self._source}: {self._prefix}{key} is {value}, expected {expected}")


def decode_object(content: bytes, source: str, *, own: bool = False) -> CheckedObject:
    """Decode a JSON object whose every number fits in 64 bits and whose every text is UTF-8.

    Args:
        content: UTF-8.
        source: Names it in errors.
        own: Whether we wrote it: then numbers may be larger, and a text may have what JSON can
            escape and UTF-8 cannot write.

    Raises:
        ContentError: It is none. NaN and infinities, which Python would accept, are not JSON.
    """
    try:
        if own:
            decoded = json.loads(content, parse_constant=_refuse)
        else:
            decoded = json.loads(
                content, parse_constant=_refuse, parse_int=_whole, parse_float=_finite
            )
            if _ESCAPED_SURROGATE.search(content):
                json.dumps(decoded, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        reason = "a text has half of a surrogate pair, which UTF-8 cannot write"
        raise ContentError(f"{source}: {reason}") from None
    except RecursionError:
        raise ContentError(f"{source}: not valid JSON: nested too deeply") from None
    except ValueError as error:
        raise ContentError(f"{source}: not valid JSON: {str(error)[:300]}") from error
    return CheckedObject(decoded, source)


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
