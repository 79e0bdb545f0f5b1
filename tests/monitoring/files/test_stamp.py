"""The stamp of a file is another one after each change."""

from __future__ import annotations

import os

from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.stamp import stamp_of


def test_each_way_of_changing_a_file_is_seen(tmp_path):
    path = tmp_path / "a"
    assert stamp_of(path) is None
    path.write_bytes(b"1")
    seen = {stamp_of(path)}
    for change in (
        lambda: path.write_bytes(b"12"),  # in place
        lambda: replace_file(path, b"12"),
        lambda: os.utime(path, ns=(1, 1)),
    ):
        change()
        assert stamp_of(path) not in seen
        seen.add(stamp_of(path))
    assert stamp_of(path) in seen
    path.unlink()
    assert stamp_of(path) is None
