"""The columns of a table that hold the values of a sample: by the model's names, or by numbers.

The element ``i`` of an input or output ``x`` is in the column ``x_i`` unless the model names it. A
row whose columns are called otherwise has the number of its naming, which is kept in the same file:
the column of each value, by the name that the value would have without the model's names. So a row
can be turned back into arrays whatever its columns are called, and whatever those of other versions
and days are called. The number is the digest of the naming, so the same naming has the same number
in each file, and a row never means another naming than its own.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.files.config_file import read_bounded

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping
    from pathlib import Path

#: The column with the number of the naming; empty in rows that need none.
NAMING: Final = "naming"
#: The table of a day file, by model. No model is called so, for ``/`` does not occur in its name.
NAMINGS: Final = "penstock/namings"
#: Beside the Parquet files of a sealed day. Readers of Parquet pass over names like this.
NAMINGS_FILE: Final = "_namings.json"
#: Of a day file: optional inputs make many of one version. Rows that need one more are not logged.
MAX_NAMINGS: Final = 1000
#: Characters of a column's name.
MAX_NAME: Final = 200
_MAX_FILE_BYTES: Final = 1 << 28

#: Column by the name without the model's names, in lower case.
Naming = dict[str, str]


class TakenNames:
    """Names of columns: SQL does not tell upper from lower case, and models do.

    Args:
        names: That are taken, in lower case.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._taken = set(names)
        self._numbers: dict[str, int] = {}

    def take(self, name: str) -> str:
        """The name, or one like it that is not taken: without what cannot be printed, and short."""
        if len(name) > MAX_NAME or not name.isprintable():
            printable = (one if one.isprintable() else "_" for one in name[:MAX_NAME])
            name = "".join(printable)
        folded = unique = name.lower()
        number = self._numbers.get(folded, 1)
        while unique in self._taken:
            number += 1
            unique = f"{folded}_{number}"
        self._numbers[folded] = number
        self._taken.add(unique)
        return name if unique == folded else f"{name}_{number}"


def folded(name: str) -> str:
    """What SQLite and DuckDB tell columns apart by: ``A`` to ``Z`` are as the small letters."""
    return "".join(one.lower() if one.isascii() else one for one in name)


def number_of(naming: Naming) -> int:
    """The number of a naming: 63 bits of its digest."""
    digest = hashlib.sha256(_packed(naming)).digest()
    return int.from_bytes(digest[:8]) >> 1


def keep(db: sqlite3.Connection, model: str, naming: Naming) -> None:
    """Write a naming into the open transaction of a day file."""
    db.execute(
        f'insert or ignore into "{NAMINGS}" values (?, ?, ?)',  # noqa: S608  a constant
        (model, number_of(naming), _packed(naming)),
    )


def read(db: sqlite3.Connection, model: str) -> dict[int, Naming]:
    """The namings of a model's rows in a day file; none in one of an earlier release."""
    there = "select 1 from sqlite_master where type = 'table' and name = ?"
    if db.execute(there, (NAMINGS,)).fetchone() is None:
        return {}
    kept = db.execute(f'select number, naming from "{NAMINGS}" where model = ?', (model,))  # noqa: S608  a constant
    found: dict[int, Naming] = {}
    for number, naming in kept:
        with suppress(ValueError):  # damaged: its rows are left out
            found[number] = json.loads(naming)
    return found


def write_file(directory: Path, namings: Mapping[int, Naming]) -> None:
    """Put the namings of a sealed day beside its files, if there are any."""
    if namings:
        (directory / NAMINGS_FILE).write_text(json.dumps(namings))


def read_file(directory: Path) -> dict[int, Naming]:
    """The namings of a sealed day.

    Raises:
        OSError: They cannot be read.
    """
    try:
        found = json.loads(read_bounded(directory / NAMINGS_FILE, _MAX_FILE_BYTES))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise OSError(f"{NAMINGS_FILE} is damaged: {error}") from None
    return {int(number): naming for number, naming in found.items()}


def without_names(row: Mapping[str, Any], namings: Mapping[int, Naming]) -> dict[str, Any] | None:
    """The values of a row by the names that they have without the model's names.

    Args:
        row: By the names of its columns, as `folded` gives them.
        namings: Of its file.

    Returns:
        Names are in lower case; ``None`` if the naming of the row is not known.
    """
    number = row.get(NAMING)
    if number is None:
        return {name.lower(): value for name, value in row.items()}
    naming = namings.get(number)
    if naming is None:
        return None
    return {name: row.get(folded(column)) for name, column in naming.items()}


def _packed(naming: Naming) -> bytes:
    return json.dumps(naming, separators=(",", ":")).encode()
