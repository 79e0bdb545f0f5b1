"""The spool: every frame once and in order, after any kill, and never over its bound."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.monitoring.samples import spool as spool_module
from penstock.monitoring.samples.spool import HEADER, SEGMENT_BYTES, Spool
from penstock.monitoring.samples.spool_reader import SpoolReader

MIB = 1 << 20


class Monitor:
    """Takes what is in the spool, as the monitor does; may be killed at any time."""

    def __init__(self, directory):
        self.directory = directory
        self.contents = {}
        self.kept = {}
        self.alive = set()
        self.start()

    def start(self):
        self.taken = dict(self.kept)
        self.reader = SpoolReader(self.directory, lambda one: self.taken.get(one, 0))

    def take(self, max_bytes=MIB):
        frames = self.reader.read(max_bytes)
        for frame in frames:
            if frame.number > self.taken.get(frame.incarnation, 0):
                self.taken[frame.incarnation] = frame.number
        return frames

    def commit(self, frames):
        for frame in frames:
            self.contents.setdefault(frame.incarnation, []).append(frame.content)
            self.kept[frame.incarnation] = frame.number
        self.reader.remove_kept(self.alive.__contains__)

    def drain(self):
        while frames := self.take():
            self.commit(frames)
        self.commit([])


def files(directory):
    return sorted(path.name for path in directory.iterdir())


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_every_frame_comes_once_and_in_order(tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("spool")
    monitor, now = Monitor(directory), 0.0
    spools, expected, started = {}, {}, 0
    for _ in range(data.draw(st.integers(1, 60))):
        step = data.draw(st.sampled_from(["append"] * 6 + ["take"] * 3 + ["monitor", "worker"]))
        if step == "append":
            name = data.draw(st.sampled_from(["a", "b"]))
            if name not in spools:
                started += 1
                spools[name] = f"{name}.{started}", Spool(directory, f"{name}.{started}", MIB)
                monitor.alive.add(f"{name}.{started}")
            incarnation, spool = spools[name]
            now += data.draw(st.sampled_from([0.0, 0.3, 2.0]))
            content = bytes([len(expected.get(incarnation, ()))]) * data.draw(st.integers(0, 5000))
            if spool.append((content[:10], content[10:]), now):
                expected.setdefault(incarnation, []).append(content)
        elif step == "take":
            monitor.commit(monitor.take(data.draw(st.integers(1, 20_000))))
        elif step == "monitor":
            monitor.take()  # and never committed
            monitor.start()
        elif spools:
            incarnation, _ = spools.pop(min(spools))  # killed: nothing is closed
            monitor.alive.discard(incarnation)
    monitor.drain()
    assert monitor.contents == expected
    monitor.alive.clear()
    monitor.drain()
    assert files(directory) == []


def test_it_stays_within_its_bound_and_has_room_again_when_something_is_kept(tmp_path):
    spool, monitor = Spool(tmp_path, "w", 4 * MIB), Monitor(tmp_path)
    frame = (bytes(100_000),)
    appended = 0
    while spool.append(frame, 0.0):
        appended += 1
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert 4 * MIB - 200_000 < size <= 4 * MIB
    assert not spool.append(frame, 0.0)
    monitor.alive.add("w")
    monitor.drain()
    assert len(monitor.contents["w"]) == appended
    assert spool.append(frame, 5.0)
    assert len(files(tmp_path)) <= 2


def test_what_a_killed_worker_has_half_written_is_no_frame(tmp_path):
    spool, monitor = Spool(tmp_path, "w", MIB), Monitor(tmp_path)
    spool.append((b"whole",), 0.0)
    (path,) = tmp_path.iterdir()
    with path.open("ab") as file:
        file.write(HEADER.pack(100, 2) + b"half of it")
    monitor.alive.add("w")
    monitor.drain()
    assert monitor.contents == {"w": [b"whole"]}
    assert files(tmp_path) != []
    monitor.alive.clear()
    monitor.drain()
    assert files(tmp_path) == []


def test_a_frame_larger_than_a_piece_is_read(tmp_path):
    spool, monitor = Spool(tmp_path, "w", 64 * MIB), Monitor(tmp_path)
    large = bytes(range(256)) * (20 * MIB // 256)
    assert spool.append((b"small",), 0.0)
    assert spool.append((large,), 0.0)
    assert spool.append((b"last",), 0.0)
    monitor.drain()
    assert monitor.contents["w"] == [b"small", large, b"last"]


def test_nearly_full_memory_is_left_to_others(tmp_path, monkeypatch):
    monkeypatch.setattr(spool_module, "RESERVED_BYTES", 1 << 60)
    assert not Spool(tmp_path, "w", MIB).append((b"x",), 0.0)
    assert files(tmp_path) == []


FULL = """
import resource, signal, sys
from pathlib import Path
from penstock.monitoring.samples.spool import Spool
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
spool = Spool(Path(sys.argv[1]), "w", 1 << 20)
done = [spool.append((bytes([number]) * 60_000,), number / 10) for number in range(14)]
print(*map(int, done))
"""


def test_a_frame_that_the_memory_has_no_room_for_is_not_there_in_part(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path], capture_output=True, text=True, check=True
    )
    appended = [number for number, one in enumerate(done.stdout.split()) if one == "1"]
    assert 2 < len(appended) < 14
    monitor = Monitor(tmp_path)
    monitor.drain()
    assert [content[0] for content in monitor.contents["w"]] == appended
    assert {len(content) for content in monitor.contents["w"]} == {60_000}


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "notes").write_text("mine")
    (tmp_path / "w@x").write_text("mine")
    monitor = Monitor(tmp_path)
    monitor.drain()
    assert files(tmp_path) == ["notes", "w@x"]


@pytest.mark.parametrize("size", [SEGMENT_BYTES, 10])
def test_segments_end_by_size_or_age(tmp_path, size):
    spool = Spool(tmp_path, "w", 64 * MIB)
    assert spool.append((bytes(size),), 0.0)
    assert spool.append((b"x",), 0.5 if size == SEGMENT_BYTES else 1.5)
    assert files(tmp_path) == ["w@000000000001", "w@000000000002"]


def test_without_its_directory_nothing_is_read_or_written(tmp_path):
    assert not Spool(tmp_path / "gone", "w", MIB).append((b"x",), 0.0)
    assert SpoolReader(tmp_path / "gone", lambda _: 0).read(MIB) == []
