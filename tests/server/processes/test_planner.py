"""From registry, desired state and reports to the target."""

from __future__ import annotations

import pytest

from penstock.server.control.coordination.planner import Planner
from penstock.server.desired_state import state as change
from penstock.server.desired_state.state import DesiredState
from penstock.server.files.config_error import ConfigError
from penstock.server.registry.intake import Intake
from penstock.server.target.plan import Standing
from penstock.server.target.target import read_target

NOTHING = DesiredState()


@pytest.fixture
def registry(tmp_path, onnx_file):
    """A registry of model m with version 1; ``add(2)`` adds another."""

    class Registry:
        path = tmp_path / "registry"

        def add(self, version, model="m"):
            at = self.path / model / str(version) / "model.onnx"
            tensors = [("x", "FLOAT", ["n"])], [("y", "FLOAT", ["n"])]
            onnx_file(at, [("Relu", ["x"], ["y"])], *tensors)
            return at

    made = Registry()
    made.add(1)
    return made


@pytest.fixture
def make(tmp_path, registry):
    def planner(*, explicit=False):
        intake = Intake(tmp_path, 1 << 30, 0.0)
        return Planner(registry.path, tmp_path / "target.msgpack", intake, explicit=explicit)

    return planner


def step(planner, state=NOTHING, **standings):
    """One look and one plan; returns what is served of m, and what answers by default."""
    planner.note(planner.survey(state, standings))
    planner.adopt(planner.draft(state, standings))
    plan = planner.target.models.get("m")
    return None if plan is None else (list(plan.versions), plan.default)


def test_a_new_planner_goes_on_from_the_disk(make, registry, tmp_path):
    first, path = make(), tmp_path / "target.msgpack"
    assert step(first) == ([1], 1)
    second = make()
    assert second.target == first.target
    step(second)
    assert read_target(path).number == 1
    registry.add(2)
    step(second)
    assert read_target(path).number == 2
    assert list(read_target(path).models["m"].versions) == [1, 2]


def test_a_registry_that_vanished_leaves_the_target_as_it_was(make, registry, tmp_path):
    step(make())
    registry.path.rename(tmp_path / "elsewhere")
    planner = make()
    with pytest.raises(ConfigError):
        planner.survey(NOTHING, {})
    assert list(planner.target.models) == ["m"]


def test_the_newest_answers_once_it_is_ready_everywhere(make, registry):
    planner = make()
    step(planner)
    registry.add(2)
    assert step(planner, m=Standing(frozenset({1}), default=1)) == ([1, 2], 1)
    assert step(planner, m=Standing(frozenset({1, 2}), default=1)) == ([1, 2], 2)


def test_a_version_that_failed_is_left_out_and_never_the_default(make, registry):
    planner = make()
    registry.add(2)
    assert step(planner) == ([1, 2], 2)
    failed = Standing(frozenset({1}), failed=frozenset({2}), default=2)
    assert step(planner, m=failed) == ([1], 1)
    assert step(planner, m=failed) == ([1], 1)


def test_what_was_tried_last_stays_until_the_next_version_is_at_hand(make, registry):
    (registry.path / "m" / "model.toml").write_text("version_policy = { latest = 1 }")
    registry.add(2)
    registry.add(3)
    planner = make()
    assert step(planner) == ([3], 3)
    assert step(planner, m=Standing(failed=frozenset({3}))) == ([2], 2)
    both = Standing(failed=frozenset({2, 3}))
    assert planner.draft(NOTHING, {"m": both}) is planner.target  # version 1 is not copied yet
    assert step(planner, m=both) == ([1], 1)


def test_a_failed_version_whose_files_change_is_taken_anew(make, registry):
    planner = make()
    step(planner)
    failed = Standing(frozenset(), failed=frozenset({1}), default=1)
    before = planner.findings.results["m", 1]
    path = registry.path / "m" / "1" / "model.onnx"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"test", b"best"))
    assert step(planner, m=failed) == ([1], 1)
    assert planner.findings.results["m", 1].digest != before.digest


def test_what_was_taken_goes_on_when_its_files_change_and_the_state_says_so(make, registry):
    planner = make()
    step(planner)
    before = planner.target
    path = registry.path / "m" / "1" / "model.onnx"
    path.write_bytes(b"half of somethi")
    step(planner, m=Standing(frozenset({1}), default=1))
    assert planner.target is before
    (problem,) = planner.findings.problems
    assert "changed since it was taken" in problem.reason
    assert "model.onnx" in [one.name for one in before.models["m"].versions[1].iterdir()]
    assert step(make(), m=Standing()) == ([1], 1)  # the next control, too


def test_stable_pins_the_default_against_newer_versions(make, registry):
    planner = make()
    registry.add(2)
    step(planner)
    pinned = change.promote(NOTHING, "m", 1, {1, 2})
    registry.add(3)
    assert step(planner, pinned, m=Standing(frozenset({1, 2, 3}), default=1)) == ([1, 2, 3], 1)


def test_explicit_serves_only_what_was_loaded(make, registry):
    planner = make(explicit=True)
    registry.add(2)
    assert step(planner) is None
    assert step(planner, change.load(NOTHING, "m", 1, {1, 2})) == ([1], 1)


def test_a_stable_version_outlives_its_directory(make, registry):
    planner = make()
    registry.add(2)
    pinned = change.promote(NOTHING, "m", 1, {1, 2})
    step(planner, pinned)
    (registry.path / "m" / "1" / "model.onnx").unlink()
    (registry.path / "m" / "1").rmdir()
    assert step(planner, pinned, m=Standing(frozenset({1, 2}), default=1)) == ([1, 2], 1)
    assert any("directory is gone" in one.reason for one in planner.findings.problems)


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_truncated_version_is_never_planned(make, registry, cut):
    path = registry.add(2)
    path.write_bytes(path.read_bytes()[:-cut])
    planner = make()
    assert step(planner) == ([1], 1)
    assert [one.path.name for one in planner.findings.problems] == ["2"]


def test_latest_falls_back_to_what_can_be_taken(make, registry):
    (registry.path / "m" / "model.toml").write_text("version_policy = { latest = 1 }")
    registry.add(2).write_bytes(b"junk")
    assert step(make()) == ([1], 1)


def test_a_registry_copied_with_its_state_is_the_same_registry(make, registry):
    planner = make()
    step(planner)
    path = registry.path / "m" / "1" / "model.onnx"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    step(planner, m=Standing(frozenset({1}), default=1))
    assert planner.findings.problems == ()


def test_unchanged_models_are_not_read_again(make, registry, monkeypatch):
    registry.add(1, "n")
    planner = make()
    step(planner)
    clock = planner._survey._clock
    planner._survey._clock = lambda: clock() + 3_000_000_000
    step(planner)
    step(planner)
    assert planner._survey.read == 0
    registry.add(2)
    assert step(planner, m=Standing(frozenset({1, 2}), default=1)) == ([1, 2], 2)
    assert planner._survey.read == 1
