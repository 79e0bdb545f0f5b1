"""A ``model.skops`` file: checked before anything of it is made, and read by skops.

The file is a zip archive with a description of types and their state. skops makes an object only of
types that it trusts, or that the one who loads says to trust. That list is the operator's: a list
beside the file would be as trustworthy as the file.
"""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any, Final

from penstock.runtimes.archive import check_archive
from penstock.runtimes.contract import ModelLoadError
from penstock.runtimes.tables import first_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MAX_ENTRIES: Final = 100_000
_MAX_BYTES: Final = 16 << 30
_MAX_SCHEMA_BYTES: Final = 256 << 20
_SCHEMA: Final = "schema.json"
_SHOWN: Final = 10
#: A type that skops leaves to the reader, as module and name.
_DTYPE: Final = ("numpy", "dtype")
#: It reads the type of an empty array without objects: it calls nothing that the file names. Other
#: loaders call the type, or hand it to somebody who does, with arguments of the file.
_DTYPE_LOADER: Final = "DTypeNode"


def read_estimator(skops_io: Any, path: Path, trusted: Sequence[str]) -> Any:
    """The estimator of a file.

    Args:
        skops_io: The module ``skops.io``.
        path: The file.
        trusted: Types that the operator trusts beside those that skops trusts.

    Raises:
        ModelLoadError: It is no such file, or holds a type that nobody trusts.
    """
    schema = _schema(path)
    try:
        unknown: list[str] = skops_io.get_untrusted_types(file=path)
    except Exception as error:  # of a broken file, whatever it is
        raise ModelLoadError(f"{path} cannot be read: {first_line(error)}") from error
    data = {".".join(_DTYPE)} if _reads_dtypes_only(schema) else set()
    refused = sorted(set(unknown) - data - set(trusted))
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


def _schema(path: Path) -> Any:
    """The description of types, after a look at the archive.

    Raises:
        ModelLoadError: The archive or the description is none that skops reads.
    """
    entries = check_archive(path, "skops file", most_entries=_MAX_ENTRIES, most_bytes=_MAX_BYTES)
    schema = entries.get(_SCHEMA)
    if schema is None:
        raise ModelLoadError(f"{path} is no skops file: it has no {_SCHEMA}")
    if schema.file_size > _MAX_SCHEMA_BYTES:
        raise ModelLoadError(f"{path} has a {_SCHEMA} of {schema.file_size} bytes")
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(_SCHEMA))
    except Exception as error:  # of a broken archive, whatever it is
        raise ModelLoadError(f"{path} cannot be read: {first_line(error)}") from error


def _reads_dtypes_only(schema: Any) -> bool:
    """Whether each node of a description that names `_DTYPE` has the loader that is safe for it."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            named = (node.get("__module__"), node.get("__class__"))
            if named == _DTYPE and node.get("__loader__") != _DTYPE_LOADER:
                return False
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return True
