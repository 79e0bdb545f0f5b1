"""Replaced files: readers meet the old content or the new one, and a failure leaves the old one."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from penstock.monitoring.files.atomic_file import drafted, replace_file, write_synced

synced = pytest.mark.parametrize("synced", [True, False])


@synced
def test_the_new_content_takes_the_place_of_the_old_one(tmp_path, synced):
    path = tmp_path / "a.json"
    path.write_bytes(b"old and longer")
    replace_file(path, b"new", 0o600, synced=synced)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@synced
def test_a_failure_leaves_the_old_content_and_no_draft(tmp_path, synced):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    def fail():
        with drafted(path, synced=synced) as draft:
            draft.write_bytes(b"ne")
            raise ValueError("mid-way")

    with pytest.raises(ValueError, match="mid-way"):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "gone" / "a", b"x")


def test_a_place_that_cannot_be_replaced_leaves_no_draft(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="directory"):
        replace_file(tmp_path / "a", b"x")
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_process_left_as_draft_is_no_obstacle(tmp_path):
    path = tmp_path / "a"
    with drafted(path) as draft:
        name = draft.name
        draft.write_bytes(b"1")
    (tmp_path / name).write_bytes(b"left by another life with the same number")
    replace_file(path, b"2")
    assert path.read_bytes() == b"2"
    assert list(tmp_path.iterdir()) == [path]


def test_readers_and_writers_at_once_meet_whole_contents_only(tmp_path):
    path = tmp_path / "a"
    contents = {bytes([letter]) * 50_000 for letter in b"abcd"}
    replace_file(path, min(contents), synced=False)

    def write(content):
        for _ in range(50):
            replace_file(path, content, synced=False)

    def read():
        return {path.read_bytes() for _ in range(200)}

    with ThreadPoolExecutor(6) as pool:
        writing = [pool.submit(write, content) for content in contents]
        reading = [pool.submit(read) for _ in range(2)]
        for one in writing:
            one.result()
        assert all(one.result() <= contents for one in reading)
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_synced_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    fsync, seen = os.fsync, []

    def observed(descriptor):
        fsync(descriptor)
        place = Path(f"/proc/self/fd/{descriptor}").readlink()
        seen.append((place == tmp_path, path.read_bytes()))

    monkeypatch.setattr(os, "fsync", observed)
    replace_file(path, b"new")
    assert seen == [(False, b"old"), (True, b"new")]
    seen.clear()
    replace_file(path, b"newer", synced=False)
    assert seen == []


def test_a_file_that_is_written_in_place_loses_what_it_had(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old and longer")
    write_synced(path, b"new")
    assert path.read_bytes() == b"new"
