"""Exemplars of a process: the latest of each bucket, in a file that others read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock.monitoring.metrics.exemplars import ENDING, ExemplarFile, read_exemplars

if TYPE_CHECKING:
    from pathlib import Path


def test_the_latest_of_each_bucket_over_all_processes_is_read(tmp_path: Path) -> None:
    one, other = (ExemplarFile(tmp_path / f"worker-{number}{ENDING}") for number in (0, 1))
    one.keep("m", "1", 3, ("a", 0.1, 10.0))
    one.keep("m", "1", 3, ("b", 0.1, 30.0))
    one.keep("m", "2", 5, ("c", 0.2, 10.0))
    other.keep("m", "1", 3, ("d", 0.1, 20.0))
    for file in (one, other):
        file.write()
    (tmp_path / f"broken{ENDING}").write_bytes(b"no")
    assert read_exemplars(tmp_path) == {
        ("m", "1"): {3: ("b", 0.1, 30.0)},
        ("m", "2"): {5: ("c", 0.2, 10.0)},
    }


def test_what_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    directory = tmp_path / "counters"
    file = ExemplarFile(directory / f"worker-0{ENDING}")
    file.keep("m", "1", 3, ("a", 0.1, 10.0))
    with pytest.raises(OSError, match="counters"):
        file.write()
    directory.mkdir()
    file.write()
    assert read_exemplars(directory) == {("m", "1"): {3: ("a", 0.1, 10.0)}}
