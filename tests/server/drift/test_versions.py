"""What the target says of versions to the drift monitor."""

from __future__ import annotations

from penstock.server.config.model_config import ModelConfig
from penstock.server.drift.versions import TargetVersions
from penstock.server.rollout.traffic import Split
from penstock.server.target.plan import ModelPlan
from penstock.server.target.target import Target, write_target


def test_an_arm_is_over_when_no_rollout_of_the_target_has_its_version(tmp_path):
    now = [0.0]
    path = tmp_path / "target"
    versions = TargetVersions(path, tmp_path, tmp_path, lambda: now[0])

    def over(split, version="2"):
        now[0] += 2
        plan = ModelPlan("m", {1: tmp_path, 2: tmp_path}, 1, {}, ModelConfig(), split=split)
        write_target(path, Target(int(now[0]), {"m": plan}))
        return versions.is_over("m", version, "canary")

    assert not versions.is_over("m", "2", "canary")  # nobody knows yet
    split = Split("r1", 2, 10.0, "", fallback=False, slow_seconds=0.0)
    assert not over(split)
    assert not over(split, "1")
    assert over(split, "3")
    assert over(None)
    assert versions.is_over("gone", "1", "stable")
