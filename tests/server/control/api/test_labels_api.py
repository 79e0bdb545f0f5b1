"""A file of labels is read a few rows at a time."""

from __future__ import annotations

import tracemalloc

import pytest

from penstock.server.control.api.labels_api import CHUNK_ROWS, chunks_of
from penstock.server.errors import InvalidRequest


def test_the_rows_of_a_file_are_never_in_memory_together() -> None:
    body = b"request_id,label,size\n" + b"a,1\n" * 100_000
    ignored: set[str] = set()
    tracemalloc.start()
    try:
        sizes = [len(rows) for rows in chunks_of(body, ".csv", ignored)]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (sum(sizes), max(sizes), ignored) == (100_000, CHUNK_ROWS, {"size"})
    assert most < 10_000_000  # all rows at once take 30 MB


def test_what_is_no_file_of_labels_is_told_before_its_rows() -> None:
    with pytest.raises(InvalidRequest, match="the file has the columns x; expected a heading"):
        next(chunks_of(b"x\n1\n", ".csv", set()))
