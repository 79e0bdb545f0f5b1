"""Frozen dataclasses as JSON and back, every value checked against its annotation."""

from __future__ import annotations

import math
from dataclasses import asdict, fields, is_dataclass
from enum import Enum
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

T = TypeVar("T")


class RecordError(ValueError):
    """The content is not what was written; the message names key and expectation."""


def encode(record: Any) -> dict[str, Any]:
    """A dataclass as what JSON can hold."""
    plain: dict[str, Any] = _plain(asdict(record))
    return plain


def decode(kind: type[T], content: Any, where: str = "") -> T:
    """The reverse of `encode`. A key that is missing has its default.

    Raises:
        RecordError: A value is not of the kind that its field has, or a key is unknown.
    """
    if not isinstance(content, dict):
        raise _wrong(where, content, "an object")
    hints = _hints(cast("Any", kind))
    unknown = sorted(content.keys() - hints.keys())
    if unknown:
        raise RecordError(f"{_key(where, unknown[0])} is unknown; expected {', '.join(hints)}")
    values = {key: _value(hints[key], one, _key(where, key)) for key, one in content.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise RecordError(f"{where or 'it'}: {error}") from error


def _value(hint: Any, content: Any, where: str) -> Any:
    if isinstance(hint, UnionType):
        inner = [one for one in get_args(hint) if one is not type(None)]
        return None if content is None else _value(inner[0], content, where)
    if get_origin(hint) is tuple:
        return _tuple(get_args(hint), content, where)
    if is_dataclass(hint):
        return decode(cast("type[Any]", hint), content, where)
    if issubclass(hint, Enum):
        try:
            return hint(content)
        except ValueError:
            names = ", ".join(str(one.value) for one in hint)
            raise _wrong(where, content, names) from None
    if hint is float and type(content) is int:
        content = float(content)
    if type(content) is not hint or (hint is float and not math.isfinite(content)):
        raise _wrong(where, content, hint.__name__)
    return content


def _tuple(inner: tuple[Any, ...], content: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(content, list | tuple):
        raise _wrong(where, content, "a list")
    kinds = [inner[0]] * len(content) if inner[-1] is Ellipsis else list(inner)
    if len(kinds) != len(content):
        raise _wrong(where, content, f"{len(kinds)} values")
    pairs = enumerate(zip(kinds, content, strict=True))
    return tuple(_value(kind, one, f"{where}[{n}]") for n, (kind, one) in pairs)


@cache
def _hints(kind: Hashable) -> Mapping[str, Any]:
    record: Any = kind
    hints = get_type_hints(record)
    return {field.name: hints[field.name] for field in fields(record)}


def _plain(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _plain(one) for key, one in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(one) for one in content]
    return content.value if isinstance(content, Enum) else content


def _key(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _wrong(where: str, content: Any, expected: str) -> RecordError:
    return RecordError(f"{where or 'it'} is {repr(content)[:100]}, expected {expected}")
