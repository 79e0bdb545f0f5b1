"""Private copies: what was hashed is what is loaded; bounded, least recently used first."""

from __future__ import annotations

import os

import pytest

from penstock.server.files.refusal import ModelRefused
from penstock.server.registry import private_copy as private_copy_module
from penstock.server.registry.manifest import Manifest, digest_of
from penstock.server.registry.private_copy import CacheSizeMemo, NoRoom, private_copy
from penstock.server.registry.verification import hash_files

ROOM = 1 << 20


@pytest.fixture
def make(tmp_path):
    def one(name, content=b"x" * 100):
        directory = tmp_path / name
        (directory / "a").mkdir(parents=True)
        (directory / "model.onnx").write_bytes(content)
        (directory / "a" / "w.bin").write_bytes(name.encode())
        return directory, Manifest("m", 1, hash_files(directory))

    return one


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def test_a_copy_has_exactly_the_listed_files_and_cannot_be_written(make, cache):
    directory, manifest = make("v1")
    (directory / "later").write_bytes(b"not listed")
    copy = private_copy(directory, cache, manifest, max_bytes=ROOM)
    assert hash_files(copy) == manifest.files
    assert copy.parent == cache
    assert cache.stat().st_mode & 0o777 == 0o700
    assert not any(path.stat().st_mode & 0o222 for path in copy.rglob("*"))


def test_a_copy_outlives_its_origin(make, cache):
    directory, manifest = make("v1")
    copy = private_copy(directory, cache, manifest, max_bytes=ROOM)
    (directory / "model.onnx").write_bytes(b"exchanged")
    assert private_copy(directory, cache, manifest, max_bytes=ROOM) == copy
    assert hash_files(copy) == manifest.files


@pytest.mark.parametrize("content", [b"y" * 100, b"x" * 99, b"x" * 101, b"x" * 5_000_000, b""])
def test_an_exchanged_file_is_refused_and_leaves_nothing(make, cache, content):
    directory, manifest = make("v1")
    (directory / "model.onnx").write_bytes(content)
    with pytest.raises(ModelRefused, match="its SHA-256 differs"):
        private_copy(directory, cache, manifest, max_bytes=ROOM)
    assert names(cache) == {".lock"}


def test_a_link_is_refused(make, cache, tmp_path):
    directory, manifest = make("v1")
    (directory / "model.onnx").rename(tmp_path / "elsewhere")
    (directory / "model.onnx").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelRefused, match="symbolic link"):
        private_copy(directory, cache, manifest, max_bytes=ROOM)


def test_the_least_recently_used_copy_goes_first(make, cache):
    room = 3 * 102
    versions = [make(f"v{number}") for number in range(4)]
    copies = [private_copy(*pair(one, cache), max_bytes=room) for one in versions[:3]]
    for age, copy in enumerate(copies):
        os.utime(copy, ns=(age, age))
    private_copy(*pair(versions[0], cache), max_bytes=room)  # used again
    copies.append(private_copy(*pair(versions[3], cache), max_bytes=room))
    assert [copy.exists() for copy in copies] == [True, False, True, True]


def test_copies_are_not_measured_again_for_each_new_one(make, cache, monkeypatch):
    measured, size_memo = [], CacheSizeMemo()
    size = private_copy_module._size
    monkeypatch.setattr(private_copy_module, "_size", lambda at: measured.append(at) or size(at))
    for number in range(20):
        private_copy(*pair(make(f"v{number:02}"), cache), max_bytes=ROOM, size_memo=size_memo)
    assert measured == []
    other = private_copy(*pair(make("other"), cache), max_bytes=ROOM)  # without this ledger
    private_copy(*pair(make("next"), cache), max_bytes=ROOM, size_memo=size_memo)
    assert len(measured) == 20 + 21
    assert other in measured


def test_a_ledger_lets_no_copy_past_the_limit(make, cache):
    room, size_memo = 3 * 103, CacheSizeMemo()
    for number in range(12):
        private_copy(*pair(make(f"v{number:02}"), cache), max_bytes=room, size_memo=size_memo)
        assert sum(path.stat().st_size for path in cache.rglob("*/*") if path.is_file()) <= room
    assert len(names(cache)) == 1 + 3


def test_copies_in_use_stay_and_the_refusal_says_so(make, cache):
    first, second = make("v1"), make("v2")
    copy = private_copy(*pair(first, cache), max_bytes=150)
    with pytest.raises(NoRoom, match="102 bytes are in use"):
        private_copy(*pair(second, cache), max_bytes=150, keep=frozenset({first[1].digest}))
    assert copy.exists()
    private_copy(*pair(second, cache), max_bytes=150)
    assert not copy.exists()


def test_what_a_crash_left_is_removed(make, cache):
    cache.mkdir(mode=0o700)
    (cache / ".copy-dead").mkdir()
    directory, manifest = make("v1")
    private_copy(directory, cache, manifest.files, max_bytes=ROOM)
    assert names(cache) == {".lock", digest_of(manifest.files).removeprefix("sha256:")}


def test_a_cache_that_others_can_write_is_not_used(make, cache):
    cache.mkdir()
    cache.chmod(0o777)
    with pytest.raises(PermissionError, match="others can change"):
        private_copy(*pair(make("v1"), cache), max_bytes=ROOM)


def pair(made, cache):
    directory, manifest = made
    return directory, cache, manifest


def names(directory):
    return {path.name for path in directory.iterdir()}
