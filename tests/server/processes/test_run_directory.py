"""Where the processes of a server meet: names that no other server has, and nothing left behind."""

from __future__ import annotations

import os

import pytest

from penstock.server.processes import run_directory
from penstock.server.processes.run_directory import RunDirectory, running_servers


@pytest.fixture
def memory(tmp_path_factory, monkeypatch):
    path = tmp_path_factory.mktemp("m")  # short: sockets go there
    monkeypatch.setattr(run_directory, "_parent", lambda: path)
    return path


def test_servers_with_the_same_process_id_get_directories_of_their_own(memory, monkeypatch):
    """Two containers that share /dev/shm: process 1 is the supervisor in both."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    one, two = RunDirectory.create(None), RunDirectory.create(None)
    assert one.path != two.path
    assert {found.path for found in running_servers()} == {one.path, two.path}
    one.remove()
    assert [found.path for found in running_servers()] == [two.path]
    two.remove()
    assert list(memory.iterdir()) == []


def test_what_a_killed_server_left_behind_is_removed_and_a_living_one_is_kept(memory):
    dead = memory / "penstock-4711"
    (dead / "counters").mkdir(parents=True)
    (dead / "counters" / "worker-0.counters").write_bytes(b"x")
    living = RunDirectory.create(None)
    another = RunDirectory.create(None)
    assert not dead.exists()
    assert living.counters.is_dir()
    another.remove()
    living.remove()


def test_nobody_can_lock_a_directory_before_its_server_has(memory, monkeypatch):
    """Between its making and its locking it bears another name."""
    seen = []
    lock = run_directory._try_lock

    def watched(path):
        seen.append((path.name, list(memory.glob("penstock-*"))))
        return lock(path)

    monkeypatch.setattr(run_directory, "_try_lock", watched)
    RunDirectory.create(None).remove()
    assert [(name[0], found) for name, found in seen] == [(".", [])]
