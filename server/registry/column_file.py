"""Names of columns and classes in files that people have: JSON, or the header of a table."""

from __future__ import annotations

import csv
import errno
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.decoding import ContentError, convert, decode_json
from penstock.runtimes.contract import Category, Column
from penstock.server.errors import InvalidRequest

if TYPE_CHECKING:
    from pathlib import Path

_MAX_BYTES: Final = 16 << 20
#: Of a table only the first line is read.
_MAX_HEADER_BYTES: Final = 4 << 20


class _Column(msgspec.Struct, forbid_unknown_fields=True):
    """A column in a JSON list."""

    name: Annotated[str, msgspec.Meta(min_length=1, description="a text")]
    categories: tuple[Category, ...] | None = None
    missing: bool = False


def read_columns(path: Path) -> tuple[Column, ...]:
    """The columns that a file names.

    Args:
        path: A JSON list of names, or of objects ``{"name", "categories", "missing"}``; or a table
            whose first line has the names, separated by commas, semicolons or tabs.

    Raises:
        InvalidRequest: It is neither.
        OSError: It cannot be read.
    """
    source = str(path)
    if path.suffix.lower() == ".json":
        try:
            content: Any = decode_json(read_bounded(path, _MAX_BYTES), source)
        except ContentError as error:
            raise InvalidRequest(str(error)) from error
        except OSError as error:
            raise _too_large(path, error) from error
        return _of_json(content, source)
    with path.open("rb") as file:
        line = file.readline(_MAX_HEADER_BYTES)
    try:
        header = line.decode("utf-8-sig").strip("\r\n")
        delimiter = max(",;\t", key=header.count)
        names = next(csv.reader([header], delimiter=delimiter, strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidRequest(f"{source} has no header of names: {error}") from error
    if not names or not all(name.strip() for name in names):
        raise InvalidRequest(f"{source} has no header of names in its first line")
    return tuple(Column(name.strip()) for name in names)


def _of_json(content: Any, source: str) -> tuple[Column, ...]:
    if not isinstance(content, list) or not content:
        raise InvalidRequest(f"{source} holds no columns; expected a list of names or of objects")
    try:
        found = [
            _Column(one) if isinstance(one, str) else convert(_Column, one, source, f"column {i}")
            for i, one in enumerate(content)
        ]
    except ContentError as error:
        raise InvalidRequest(str(error)) from error
    return tuple(Column(one.name, one.categories, one.missing) for one in found)


def _too_large(path: Path, error: OSError) -> OSError | InvalidRequest:
    if error.errno in {errno.EFBIG, errno.EINVAL}:
        return InvalidRequest(f"{path}: {error.strerror}")
    return error
