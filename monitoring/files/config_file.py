"""Configuration that people write: read so that no file can hang, exhaust or end its reader.

A name may lead to a named pipe, on which a reader waits for ever, to a device, or to a file that
has no end. TOML may nest without end, or hold numbers that no field of ours can carry. Each is
refused here with a reason, before any value is looked at.
"""

from __future__ import annotations

import errno
import math
import os
import stat
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

#: Size of a file that people write.
MAX_BYTES: Final = 1 << 20
#: The largest number that every reader of JSON and every float keeps exact.
MAX_NUMBER: Final = 2**53
#: Tables and lists in one another.
_MAX_DEPTH: Final = 16
_MAX_KEY: Final = 512
#: ``tomllib`` takes a time that grows with the square of the parts of a dotted key. A key is on one
#: line, so the squares of the dots of each line bound that: this many take about 0.3 s.
_MAX_SQUARED_DOTS: Final = 10_000_000
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_BOM: Final = b"\xef\xbb\xbf"


class ConfigFileError(ValueError):
    """A file cannot be used; the message says why, and does not name the file."""


def read_bounded(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """The content of a regular file; links are followed.

    Args:
        path: Path of the file.
        max_bytes: A larger file is refused.

    Raises:
        FileNotFoundError: There is none.
        OSError: It cannot be read, is no regular file, or is too large.
    """
    _check_regular(os.stat(path).st_mode)  # noqa: PTH116  opening a device may act on it
    descriptor = os.open(path, _FLAGS)
    try:
        return read_descriptor(descriptor, max_bytes)
    finally:
        os.close(descriptor)


def read_descriptor(descriptor: int, max_bytes: int = MAX_BYTES) -> bytes:
    """`read_bounded` of a file that is open."""
    _check_regular(os.fstat(descriptor).st_mode)
    pieces: list[bytes] = []
    left = max_bytes + 1
    while left and (piece := os.read(descriptor, min(left, 1 << 20))):
        pieces.append(piece)
        left -= len(piece)
    if not left:
        raise OSError(errno.EFBIG, f"larger than {max_bytes} bytes")
    return b"".join(pieces)


def read_toml(path: Path, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The tables of a TOML file, as `parse_toml` checks them.

    Raises:
        ConfigFileError: It cannot be read, is not valid TOML, or holds what no field can carry.
    """
    try:
        content = read_bounded(path, max_bytes)
    except OSError as error:
        raise ConfigFileError(f"cannot be read: {error.strerror or error}") from error
    return parse_toml(content)


def parse_toml(content: bytes) -> dict[str, Any]:
    """Decode TOML; a byte order mark, which some editors write, is no part of it.

    Raises:
        ConfigFileError: It is not valid, nests too deeply, or holds a number that is not finite or
            larger than `MAX_NUMBER`.
    """
    import tomllib  # most processes read no TOML, and the supervisor stays small

    if sum(line.count(b".") ** 2 for line in content.splitlines()) > _MAX_SQUARED_DOTS:
        raise ConfigFileError("a line has thousands of dots; expected short keys, one value a line")
    try:
        decoded = tomllib.loads(content.removeprefix(_BOM).decode())
    except UnicodeDecodeError as error:
        raise ConfigFileError(f"cannot be read: it is not UTF-8: {error.reason}") from error
    except RecursionError:
        raise ConfigFileError(f"nested deeper than {_MAX_DEPTH} tables or lists") from None
    except ValueError as error:
        raise ConfigFileError(f"not valid TOML: {str(error)[:300]}") from error
    _check_values(decoded, "", 0)
    return decoded


def _check_values(value: Any, key: str, depth: int) -> None:
    """Recursion is bounded by `_MAX_DEPTH`."""
    if depth > _MAX_DEPTH:
        raise ConfigFileError(f"{key[:100]}: nested deeper than {_MAX_DEPTH} tables or lists")
    if isinstance(value, dict):
        for name, one in value.items():
            if len(name) > _MAX_KEY:
                raise ConfigFileError(f"a key has {len(name)} characters, at most {_MAX_KEY}")
            _check_values(one, f"{key}.{name}" if key else name, depth + 1)
    elif isinstance(value, list):
        for one in value:
            _check_values(one, key, depth + 1)
    elif isinstance(value, int | float) and not (
        math.isfinite(value) if isinstance(value, float) else abs(value) <= MAX_NUMBER
    ):
        raise ConfigFileError(
            f"{key[:100]} is {_shown(value)}, expected a finite number, at most {MAX_NUMBER}"
        )


def _shown(value: float) -> str:
    """A number in few characters; Python refuses to write integers of thousands of digits."""
    if isinstance(value, int):
        return f"a whole number of {value.bit_length()} bits"
    return repr(value)


def _check_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "a pipe, socket or device"
        raise OSError(errno.EINVAL, f"it is {kind}, expected a regular file")
