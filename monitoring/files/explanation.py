"""Explains to their author why plain values do not make a type.

msgspec says which check failed, but neither the key of a map nor what was found. Here the smallest
part that does not convert is looked for, from the outside inwards; msgspec is the judge of each
part. This runs only after something was refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from .wording import did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    #: What makes a value of a type that msgspec does not know.
    Hook = Callable[[type, Any], Any]

OBJECT: Final = "an object"
_WORDS: Final[dict[Any, str]] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
    Path: "a path",
    bytes: "bytes",
}


def explain(hint: Any, content: Any, place: str, hook: Hook, noun: str = OBJECT) -> str:
    """The part of the values that is wrong, and what was expected.

    Args:
        hint: The type that `content` does not convert to.
        content: Plain values.
        place: Path of the values in their source.
        hook: For types that msgspec does not know.
        noun: Name of an object; where it is another than `OBJECT`, there is no null, either.
    """
    hint, inside = _member(hint, content)
    if _is_object(hint) and isinstance(content, dict):
        known = _keys(hint)
        if _is_closed(hint) and (unknown := [key for key in content if key not in known]):
            return _unknown(place, unknown[0], list(known))
        for key, (_, required) in known.items():
            if required and key not in content:
                return f"{_joined(place, key)} is missing"
    for inner, one, where in _parts(hint, content, place):
        if _refusal(inner, one, hook):
            return explain(inner, one, where, hook, noun)
    refusal = _refusal(hint, content, hook)
    if inside and not refusal.startswith("Expected"):  # a check of the object's own
        return f"{place}: {refusal}".removeprefix(": ")
    wanted = expected(hint)
    if noun != OBJECT:
        wanted = wanted.replace(OBJECT, noun).removesuffix(" or null")
    return f"{place or 'it'} is {shown(content)}, expected {wanted}{_meant(hint, content)}"


def unknown_key(hint: Any, content: Any, place: str = "") -> str:
    """The first key that an object type does not know, in words; empty if there is none."""
    hint, _ = _member(hint, content)
    if _is_object(hint) and isinstance(content, dict):
        known = _keys(hint)
        for key in content:
            if key not in known:
                return _unknown(place, key, list(known))
    for inner, one, where in _parts(hint, content, place):
        if problem := unknown_key(inner, one, where):
            return problem
    return ""


def expected(hint: Any) -> str:
    """The values that a type takes, in words."""
    origin, inner = get_origin(hint) or hint, get_args(hint)
    if origin is Annotated:
        [meta] = [one for one in inner[1:] if isinstance(one, msgspec.Meta)]
        words = meta.description or expected(inner[0]) + _limits(meta)
    elif _is_union(hint):
        words = " or ".join(map(expected, inner))
    elif origin is Literal:
        words = "one of " + ", ".join(map(str, inner))
    elif _derives(origin, Enum):
        words = "one of " + ", ".join(str(one.value) for one in origin)
    elif _is_record(hint):
        words = f"a list of {len(inner)} values"
    elif _is_object(origin) or _derives(origin, Mapping):
        words = OBJECT
    else:
        words = str(_WORDS.get(origin) or getattr(origin, "expected", "a list"))
    return words


def _meant(hint: Any, content: Any) -> str:
    """The choice that a text was probably meant to be."""
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    for one in get_args(plain) if _is_union(plain) else (plain,):
        if get_origin(one) is Literal and isinstance(content, str):
            return did_you_mean(content, list(get_args(one)))
    return ""


def _member(hint: Any, content: Any) -> tuple[Any, bool]:
    """The member of a union that `content` is meant for, and whether it can have parts."""
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if _is_union(plain):
        for one in get_args(plain):
            if _member(one, content)[1]:
                return one, True
        return hint, False
    origin = get_origin(plain) or plain
    if isinstance(content, dict):
        meant = _is_object(origin) or _derives(origin, Mapping)
    else:
        meant = isinstance(content, list | tuple) and (
            _derives(origin, Sequence) or _derives(origin, frozenset)
        )
    return hint if get_origin(hint) is Annotated else plain, meant


def _parts(hint: Any, content: Any, place: str) -> Iterator[tuple[Any, Any, str]]:
    """The parts of plain values, with the type and the place of each."""
    hint, inside = _member(hint, content)
    if not inside:
        return
    hint = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    inner = get_args(hint)
    if _is_object(hint):
        for key, (kind, _) in _keys(hint).items():
            if key in content:
                yield kind, content[key], _joined(place, key)
    elif isinstance(content, dict):
        for key, one in content.items():
            if inner:
                yield inner[0], key, f"a key of {place or 'it'}"
                yield inner[1], one, _joined(place, key)
    elif inner and not _wrong_length(hint, content):
        kinds = inner if _is_record(hint) else [inner[0]] * len(content)
        for number, (kind, one) in enumerate(zip(kinds, content, strict=True)):
            yield kind, one, f"{place}[{number}]"


def _refusal(hint: Any, content: Any, hook: Hook) -> str:
    """What msgspec says against a part; empty if it takes it."""
    try:
        msgspec.convert(content, hint, dec_hook=hook)
    except msgspec.ValidationError as error:
        return str(error) or "wrong"
    return ""


@cache
def _keys(kind: Any) -> dict[str, tuple[Any, bool]]:
    """The keys of an object type: the type of each, and whether it is required."""
    hints = get_type_hints(kind, include_extras=True)
    if not is_dataclass(kind):
        found = msgspec.structs.fields(kind)
        return {one.encode_name: (hints[one.name], one.required) for one in found}
    return {
        one.name: (hints[one.name], one.default is MISSING and one.default_factory is MISSING)
        for one in fields(cast("Any", kind))
        if one.init
    }


def _limits(meta: msgspec.Meta) -> str:
    """The range of a number or of a length, in words."""
    if meta.min_length is not None or meta.max_length is not None:
        return f" of length {meta.min_length or 0} to {meta.max_length or 'any'}"
    low = meta.ge if meta.ge is not None else meta.gt
    high = meta.le if meta.le is not None else meta.lt
    if low is not None and high is not None and meta.gt is None and meta.lt is None:
        return f" from {low:.15g} to {high:.15g}"
    above = "" if low is None else f", {'at least' if meta.gt is None else 'more than'} {low:.15g}"
    below = "" if high is None else f", {'at most' if meta.lt is None else 'less than'} {high:.15g}"
    return above + below


def _is_closed(hint: Any) -> bool:
    """Whether msgspec itself refuses keys that the type does not know."""
    config = getattr(hint, "__struct_config__", None)
    return config is not None and config.forbid_unknown_fields


def _unknown(place: str, key: Any, known: list[str]) -> str:
    hint = did_you_mean(str(key), known)
    if not hint:
        hint = f"; expected one of {', '.join(known)}" if known else "; expected no keys"
    return f"unknown key {_joined(place, str(key)[:100])}{hint}"


def _joined(place: str, key: Any) -> str:
    return f"{place}.{key}" if place else str(key)


def _is_record(hint: Any) -> bool:
    """Whether a tuple has a type for each of its places."""
    return get_origin(hint) is tuple and get_args(hint)[-1:] != (Ellipsis,)


def _wrong_length(hint: Any, content: Any) -> bool:
    return _is_record(hint) and len(get_args(hint)) != len(content)


def _is_object(hint: Any) -> bool:
    return is_dataclass(hint) or _derives(hint, msgspec.Struct)


def _is_union(hint: Any) -> bool:
    return isinstance(hint, UnionType) or get_origin(hint) is Union


def _derives(hint: Any, base: type) -> bool:
    return isinstance(hint, type) and issubclass(hint, base)
