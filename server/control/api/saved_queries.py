"""Queries over the prediction log that somebody has saved under a name."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.decoding import ContentError, read_json
from penstock.server.errors import Conflict, NotFound, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

#: In ``state_dir/monitor``.
QUERIES_FILE: Final = "queries.json"
MAX_QUERIES: Final = 100
MAX_NAME: Final = 80
MAX_SQL: Final = 10_000
#: UTF-8 escapes included.
_MAX_BYTES: Final = 8 << 20


class SavedQuery(msgspec.Struct, frozen=True):
    """A query.

    Attributes:
        name: Name of the query.
        sql: One SELECT.
        by: Name of the token that saved it.
    """

    name: str
    sql: str
    by: str


class _File(msgspec.Struct):
    queries: Annotated[tuple[SavedQuery, ...], msgspec.Meta(max_length=MAX_QUERIES)] = ()


class SavedQueries:
    """The saved queries of one server. Threads of one process may use them.

    Args:
        path: Path of the file; made with the first query.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def known(self) -> tuple[SavedQuery, ...]:
        """All of them, by name.

        Raises:
            Unavailable: The file cannot be read.
        """
        try:
            found = read_json(_File, read_bounded(self._path, _MAX_BYTES), str(self._path))
        except FileNotFoundError:
            return ()
        except (OSError, ContentError) as error:
            raise Unavailable(f"the saved queries cannot be read: {error}") from error
        return found.queries

    def save(self, query: SavedQuery) -> None:
        """Keep a query in place of the one of its name.

        Raises:
            Conflict: There are as many as there may be.
            Unavailable: The file cannot be read or written.
        """
        with self._lock:
            others = [one for one in self.known() if one.name != query.name]
            if len(others) >= MAX_QUERIES:
                raise Conflict(f"there are {MAX_QUERIES} saved queries; forget one first")
            self._write([*others, query])

    def forget(self, name: str) -> None:
        """Keep a query no longer.

        Raises:
            NotFound: There is none of this name.
            Unavailable: The file cannot be read or written.
        """
        with self._lock:
            before = self.known()
            left = [one for one in before if one.name != name]
            if len(left) == len(before):
                raise NotFound(f"there is no saved query {name[:MAX_NAME]!r}")
            self._write(left)

    def _write(self, queries: list[SavedQuery]) -> None:
        ordered = sorted(queries, key=lambda one: one.name)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._path, msgspec.json.encode(_File(tuple(ordered))), 0o600)
        except OSError as error:
            raise Unavailable(f"the query cannot be saved: {error}") from error
