"""The repository as it is: what is a model, what is not, and why."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.config.version_policy import VersionPolicy, default_version, served_versions
from penstock.server.files.config_error import ConfigError
from penstock.server.registry.survey import scan


def make(root, *versions):
    for version in versions:
        (root / version).mkdir(parents=True)


def reasons(snapshot):
    return {problem.path.name: problem.reason for problem in snapshot.problems}


def test_models_and_versions_are_found_in_order(tmp_path):
    make(tmp_path, "b/10", "b/9", "a/1")
    snapshot = scan(tmp_path)
    assert list(snapshot.models) == ["a", "b"]
    assert list(snapshot.models["b"].versions) == [9, 10]
    assert snapshot.models["b"].served == (9, 10)
    assert snapshot.models["b"].default == 10
    assert snapshot.problems == ()


def test_what_is_not_a_model_is_left_alone(tmp_path):
    make(tmp_path, "m/1", "m/assets", "m/-3", "m/.staging", ".git/1")
    (tmp_path / "README.md").write_text("hello")
    (tmp_path / "m" / "2").write_text("a file")
    snapshot = scan(tmp_path)
    assert list(snapshot.models) == ["m"]
    assert list(snapshot.models["m"].versions) == [1]
    assert snapshot.problems == ()


def test_what_was_probably_meant_as_a_version_is_named(tmp_path):
    make(tmp_path, "m/1", "m/01", "m/v2", "m/1.0", "m/0001", "m/version-3", "m/0", "m/v1.2.3")
    (tmp_path / "m" / "config.pbtxt").write_text('name: "m"')
    (tmp_path / "m" / "model.onnx").write_bytes(b"")
    snapshot = scan(tmp_path)
    assert list(snapshot.models["m"].versions) == [1]
    told = reasons(snapshot)
    assert set(told) == {
        *("01", "v2", "1.0", "0001", "version-3", "0", "v1.2.3"),
        *("config.pbtxt", "model.onnx"),
    }
    assert "rename it to 2 if" in told["v2"]
    assert "model.toml" in told["config.pbtxt"]
    assert "move it to 1/model.onnx" in told["model.onnx"]


def test_problems_are_told_apart_and_disturb_no_other(tmp_path):
    make(tmp_path, "good/1", "bad name/1", "broken/1", "none/1")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken" / "model.toml").write_text("threads = 0")
    (tmp_path / "none" / "model.toml").write_text("version_policy = { specific = [7] }")
    snapshot = scan(tmp_path)
    assert list(snapshot.models) == ["good"]
    assert len(snapshot.problems) == 4
    texts = " ".join(problem.reason for problem in snapshot.problems)
    for part in ("not a model name", "no versions", "threads is 0", "serves none"):
        assert part in texts


def test_a_policy_and_a_default_are_obeyed(tmp_path):
    make(tmp_path, "m/1", "m/2", "m/3")
    (tmp_path / "m" / "model.toml").write_text(
        "version_policy = { latest = 2 }\ndefault_version = 2"
    )
    model = scan(tmp_path).models["m"]
    assert (model.served, model.default) == ((2, 3), 2)


def test_a_default_that_is_not_served_is_a_problem_but_the_model_serves(tmp_path):
    make(tmp_path, "m/1")
    (tmp_path / "m" / "model.toml").write_text("default_version = 2")
    snapshot = scan(tmp_path)
    assert snapshot.models["m"].default == 1
    assert "default_version 2 is not served" in reasons(snapshot)["model.toml"]


def test_links_stay_inside_the_registry(tmp_path):
    registry, outside = tmp_path / "registry", tmp_path / "outside"
    make(registry, "m/1")
    make(outside, "1")
    (outside / "model.toml").write_text("")
    (registry / "m" / "2").symlink_to(registry / "m" / "1")
    (registry / "m" / "3").symlink_to(outside / "1")
    (registry / "stranger").symlink_to(outside)
    make(registry, "sly/1")
    (registry / "sly" / "model.toml").symlink_to(outside / "model.toml")
    snapshot = scan(registry)
    assert list(snapshot.models) == ["m"]
    assert list(snapshot.models["m"].versions) == [1, 2]
    assert {problem.path.name for problem in snapshot.problems} == {"3", "stranger", "model.toml"}


def test_a_registry_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="expected a directory of model directories"):
        scan(tmp_path / "absent")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_model_that_cannot_be_read_is_a_problem(tmp_path):
    make(tmp_path, "good/1", "locked/1")
    (tmp_path / "locked").chmod(0)
    assert list(scan(tmp_path).models) == ["good"]
    (tmp_path / "locked").chmod(0o700)


@given(
    st.sets(st.integers(1, 50)),
    st.none() | st.integers(1, 60),
    st.none() | st.sets(st.integers(1, 50)).map(tuple),
)
def test_only_present_versions_are_served_and_the_default_is_one_of_them(present, latest, specific):
    served = served_versions(VersionPolicy(latest, specific), present)
    assert set(served) <= present
    assert list(served) == sorted(served)
    for wanted in (None, 7):
        default = default_version(served, wanted)
        assert (default in served) if served else default is None
    if specific is None and latest is not None:
        assert len(served) == min(latest, len(present))
        assert set(served) == set(sorted(present)[-latest:])
