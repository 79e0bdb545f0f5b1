"""Reads the usual values of options and arguments without pydantic.

Typer reads each value by pydantic, a default value, too. To import pydantic takes longer than most
commands do. So the usual forms are read here, and Typer reads all others: it knows what is wrong
with them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Callable

#: Stands for a value that Typer has to read; ``None`` is a value.
_UNREAD: Final = object()
_INTEGER: Final = re.compile(r"[0-9]{1,15}")
_DECIMAL: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")


def read_plain_values(parameter: Any) -> Any:
    """The same option or argument of Typer, which reads its usual values by itself now."""
    if parameter is not None:  # where a command has no option --help
        parameter.get_runtime_param = _Reader(parameter)
    return parameter


class _Reader:
    """Gives itself in place of the `RuntimeParam` of Typer.

    Args:
        parameter: Option or argument whose values are read.
    """

    def __init__(self, parameter: Any) -> None:
        self._typers: Callable[[], Any] = parameter.get_runtime_param

    def __call__(self) -> _Reader:
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """A value as its annotation has it.

        Raises:
            TyperException: It cannot be read; see `RuntimeParam.coerce`.
        """
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        read = _read(value, param.type_descriptor)
        return self._typers().coerce(value, param=param, ctx=ctx) if read is _UNREAD else read


def _read(value: Any, descriptor: Any) -> Any:
    kind, details = descriptor.annotation, descriptor.parameter_info
    if details.parser is not None or details.path_type is not None or descriptor.is_ranged:
        return _UNREAD
    if descriptor.is_choice:
        return value if isinstance(value, str) and value in get_args(kind) else _UNREAD
    if get_origin(kind) is list and isinstance(value, list | tuple):
        (inner,) = get_args(kind)
        items = [_read_one(one, inner, details) for one in value]
        return _UNREAD if any(one is _UNREAD for one in items) else items
    return _read_one(value, kind, details)


def _read_one(value: Any, kind: Any, details: Any) -> Any:
    if kind is Path:
        return _read_path(value, details)
    if kind in {str, int, float, bool} and type(value) is kind:
        return value
    if kind is int and isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if kind is float and isinstance(value, str) and _DECIMAL.fullmatch(value):
        return float(value)
    return _UNREAD


def _read_path(value: Any, details: Any) -> Any:
    """A path that Typer admits: only one that is there and cannot be read is refused."""
    others = (details.exists, details.writable, details.resolve_path, details.allow_dash)
    if any(others) or not (details.readable and details.file_okay and details.dir_okay):
        return _UNREAD
    if not isinstance(value, str | Path):
        return _UNREAD
    path = Path(value)
    return path if os.access(path, os.R_OK) or not _is_there(path) else _UNREAD


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return False
    return True
