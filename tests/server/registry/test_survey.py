"""A model that is served survives what happens to its configuration and to the file system."""

from __future__ import annotations

import errno
import os

import pytest

from penstock.server.registry import survey as survey_module
from penstock.server.registry.good_configs import FILE, GoodConfigs
from penstock.server.registry.survey import Survey

BAD = [
    "threads = = 2",
    "treads = 2",
    "threads = 100000",
    "version_policy = { specific = [11] }",
    "runtime.graph_optimization_level = 'al'",
    "a = " + "[" * 100_000,
]


@pytest.fixture
def registry(tmp_path):
    made = tmp_path / "registry"
    (made / "m" / "1").mkdir(parents=True)
    (made / "other" / "1").mkdir(parents=True)
    return made


@pytest.fixture
def survey(registry, tmp_path):
    """A survey of a new life of the server; what it keeps is in ``tmp_path``."""
    return lambda: Survey(registry, good=GoodConfigs(tmp_path / FILE))


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("restart", [False, True])
def test_a_bad_model_toml_leaves_a_served_model_with_its_last_good_one(
    registry, survey, bad, restart
):
    file = registry / "m" / "model.toml"
    file.write_text("threads = 2")
    history = survey()
    good = history.look().models["m"].config
    file.write_text(bad)
    if restart:
        history = survey()
    snapshot = history.look()
    assert snapshot.models["m"].config == good
    (problem,) = snapshot.problems
    assert problem.path == file
    assert "goes on with its last good configuration" in problem.reason
    file.write_text("threads = 3")
    snapshot = history.look()
    assert (snapshot.models["m"].config.threads, snapshot.problems) == (3, ())


def test_a_model_without_the_file_goes_on_without_it(registry, survey):
    default = survey().look().models["m"].config
    os.mkfifo(registry / "m" / "model.toml")
    snapshot = survey().look()
    assert snapshot.models["m"].config == default
    assert "named pipe" in snapshot.problems[0].reason


def test_a_model_that_never_had_a_good_one_is_not_served_and_hurts_no_other(registry, survey):
    (registry / "m" / "model.toml").write_text("threads = 0")
    snapshot = survey().look()
    assert list(snapshot.models) == ["other"]
    assert "m is not served until that is corrected" in snapshot.problems[0].reason


def test_a_file_that_was_removed_is_forgotten(registry, survey):
    file = registry / "m" / "model.toml"
    file.write_text("threads = 2")
    survey().look()
    file.unlink()
    assert survey().look().models["m"].config.threads == 1
    file.write_text("bad")
    assert survey().look().models["m"].config.threads == 1


@pytest.mark.parametrize("content", [b"", b"junk", b'{"format": 1, "models": 3}', b"{}"])
def test_a_damaged_memory_of_good_ones_is_no_error(registry, survey, tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    assert list(survey().look().models) == ["m", "other"]


def test_a_directory_that_cannot_be_read_now_is_what_it_was(registry, survey, monkeypatch):
    history = survey()
    before = history.look().models["m"]

    def fail(path, *rest):
        if path.name == "m":
            raise OSError(errno.EIO, "Input/output error")
        return read(path, *rest)

    read = survey_module.read_model
    monkeypatch.setattr(survey_module, "read_model", fail)
    (registry / "m" / "2").mkdir()
    snapshot = history.look()
    assert snapshot.models["m"] == before
    assert "going on with what was there before" in snapshot.problems[0].reason
    monkeypatch.undo()
    assert list(history.look().models["m"].versions) == [1, 2]
