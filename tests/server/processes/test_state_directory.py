"""One server has the state; who cannot write it serves what it says all the same."""

from __future__ import annotations

import os
from contextlib import closing

import pytest

from penstock.server.desired_state import state_file as state_file_module
from penstock.server.desired_state.state import DesiredState, promote
from penstock.server.desired_state.state_file import StateFile
from penstock.server.processes import state_directory as state_directory_module
from penstock.server.processes.run_directory import RunDirectory
from penstock.server.processes.state_directory import (
    STATE_FILE,
    StateDirectory,
    StateDirectoryInUse,
)


@pytest.fixture
def registry(tmp_path):
    made = tmp_path / "registry"
    (made / "m" / "1").mkdir(parents=True)
    return made


def refuse(path):
    raise OSError(30, "Read-only file system")


@pytest.fixture
def lock_out(registry, monkeypatch):
    """From now on nothing in the registry can be written, also by root."""
    prepare = state_directory_module._prepare

    def prepare_elsewhere(path):
        return refuse(path) if path.is_relative_to(registry) else prepare(path)

    return lambda: monkeypatch.setattr(state_directory_module, "_prepare", prepare_elsewhere)


def test_a_second_server_on_one_registry_is_refused_and_told_which_is_the_first(registry):
    with closing(StateDirectory.open(None, registry)) as first:
        first.announce("http://127.0.0.1:8001")
        with pytest.raises(StateDirectoryInUse) as caught:
            StateDirectory.open(None, registry)
        assert f"process {os.getpid()} on " in str(caught.value)
        assert "http://127.0.0.1:8001" in str(caught.value)
        assert "--state-dir" in str(caught.value)
        with closing(StateDirectory.open(registry.parent / "own", registry)) as own:
            assert own.note == ""
    with closing(StateDirectory.open(None, registry)) as after:
        assert after.note == ""


def test_a_first_server_that_has_not_said_who_it_is_is_named_without(registry):
    with (
        closing(StateDirectory.open(None, registry)),
        pytest.raises(StateDirectoryInUse, match="another server keeps"),
    ):
        StateDirectory.open(None, registry)


def test_a_registry_that_cannot_be_written_is_served_as_its_state_says(registry, lock_out):
    with closing(StateDirectory.open(None, registry)) as usual:
        wanted = promote(DesiredState(), "m", 1, {1, 2})
        StateFile(usual.path).write(wanted, 0)
    lock_out()
    with closing(StateDirectory.open(None, registry)) as temporary:
        assert "Read-only file system; the versions that were in production" in temporary.note
        assert StateFile(temporary.path).read() == wanted
    assert not temporary.path.exists()


def test_without_a_state_the_note_says_that_the_newest_version_answers(registry, lock_out):
    lock_out()
    with closing(StateDirectory.open(None, registry)) as temporary:
        assert "the newest version that loads answers" in temporary.note


def test_a_state_that_cannot_be_read_is_not_guessed(registry, monkeypatch):
    (registry / ".penstock").mkdir()
    (registry / ".penstock" / STATE_FILE).mkdir()  # also for root, who may read all files
    monkeypatch.setattr(state_directory_module, "_prepare", refuse)
    with pytest.raises(OSError, match="says which versions are in production"):
        StateDirectory.open(None, registry)


def test_both_rooms_mean_the_same_file():
    assert state_file_module.STATE_FILE == STATE_FILE


def test_no_place_for_sockets_is_an_error_that_names_the_places(monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OSError, match=r"/dev/shm.*--run-dir"):
        RunDirectory.create(None)
