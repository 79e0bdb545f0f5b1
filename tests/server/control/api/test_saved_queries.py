"""Saved queries: kept by name, bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock.server.control.api.saved_queries import MAX_QUERIES, SavedQueries, SavedQuery
from penstock.server.errors import Conflict, NotFound, Unavailable

if TYPE_CHECKING:
    from pathlib import Path


def test_queries_are_kept_by_name_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "queries.json"
    queries = SavedQueries(path)
    assert queries.known() == ()
    for number in range(MAX_QUERIES):
        queries.save(SavedQuery(f"q{number:03}", "select 1", "ann"))
    with pytest.raises(Conflict, match="forget one first"):
        queries.save(SavedQuery("more", "select 1", "ann"))
    queries.save(SavedQuery("q007", "select 2", "bob"))
    assert SavedQueries(path).known()[7] == SavedQuery("q007", "select 2", "bob")
    queries.forget("q007")
    with pytest.raises(NotFound, match="'q007'"):
        queries.forget("q007")
    path.write_text("{")
    with pytest.raises(Unavailable, match="cannot be read"):
        queries.save(SavedQuery("a", "select 1", "ann"))
    assert path.read_text() == "{"
