"""A ``model.skops`` file: checked before anything of it is made, and read by skops.

The file is a zip archive with a description of types and their state. skops makes an object only of
types that it trusts, or that the one who loads says to trust. That list is the operator's: a list
beside the file would be as trustworthy as the file.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any, Final

from penstock.runtimes.contract import ModelLoadError
from penstock.runtimes.tables import first_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MAX_ENTRIES: Final = 100_000
_MAX_BYTES: Final = 16 << 30
_MAX_SCHEMA_BYTES: Final = 256 << 20
#: A larger entry that was compressed more than so many times is no state of a model.
_MAX_RATIO: Final = 200
_SMALL_BYTES: Final = 1 << 20
_SCHEMA: Final = "schema.json"
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_SHOWN: Final = 10
#: Types that skops leaves to the reader, and that are nothing but data.
_DATA: Final = frozenset(("numpy.dtype",))


def read_estimator(skops_io: Any, path: Path, trusted: Sequence[str]) -> Any:
    """The estimator of a file.

    Args:
        skops_io: The module ``skops.io``.
        path: The file.
        trusted: Types that the operator trusts beside those that skops trusts.

    Raises:
        ModelLoadError: It is no such file, or holds a type that nobody trusts.
    """
    check_archive(path)
    try:
        unknown: list[str] = skops_io.get_untrusted_types(file=path)
    except Exception as error:  # of a broken file, whatever it is
        raise ModelLoadError(f"{path} cannot be read: {first_line(error)}") from error
    refused = sorted(set(unknown) - _DATA - set(trusted))
    if refused:
        more = "" if len(refused) <= _SHOWN else f" and {len(refused) - _SHOWN} more"
        raise ModelLoadError(
            f"{path} holds types that nobody trusts: {', '.join(refused[:_SHOWN])}{more}; nothing "
            "of it was made. An operator who knows them sets trusted_types in penstock.toml, "
            "--trusted-types or PENSTOCK_TRUSTED_TYPES"
        )
    try:
        return skops_io.load(path, trusted=unknown)
    except Exception as error:  # as above
        raise ModelLoadError(f"{path} cannot be loaded: {first_line(error)}") from error


def check_archive(path: Path) -> None:
    """Refuse an archive that is none, or that would take more than it is worth.

    Raises:
        ModelLoadError: It is refused; the message says why.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, RuntimeError) as error:
        raise ModelLoadError(f"{path} is no skops file: {first_line(error)}") from error
    names = [one.filename for one in entries]
    if _SCHEMA not in names:
        raise ModelLoadError(f"{path} is no skops file: it has no {_SCHEMA}")
    if len(entries) > _MAX_ENTRIES:
        raise ModelLoadError(f"{path} has {len(entries)} entries, at most {_MAX_ENTRIES} are read")
    if len(set(names)) < len(names):
        raise ModelLoadError(f"{path} has two entries of one name")
    total = sum(one.file_size for one in entries)
    if total > _MAX_BYTES:
        raise ModelLoadError(f"{path} has {total} bytes unpacked, at most {_MAX_BYTES} are read")
    for one in entries:
        _check_entry(path, one)


def _check_entry(path: Path, entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    if name.startswith("/") or ".." in name.split("/") or "\\" in name:
        raise ModelLoadError(f"{path} has an entry outside of itself: {name!r}")
    if entry.flag_bits & 1 or entry.compress_type not in _METHODS:
        raise ModelLoadError(f"{path} has an entry that is encrypted or packed oddly: {name!r}")
    if entry.file_size > _SMALL_BYTES and entry.file_size > _MAX_RATIO * entry.compress_size:
        raise ModelLoadError(
            f"{path} has an entry that unpacks to {entry.file_size} bytes from "
            f"{entry.compress_size}: {name!r}"
        )
    if name == _SCHEMA and entry.file_size > _MAX_SCHEMA_BYTES:
        raise ModelLoadError(f"{path} has a {_SCHEMA} of {entry.file_size} bytes")
