"""What a rollout in progress does to the plan of its model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from penstock.server.config.model_config import ModelConfig
from penstock.server.config.version_policy import VersionPolicy
from penstock.server.desired_state.state import DesiredState, ModelState
from penstock.server.registry.repository import ModelEntry
from penstock.server.rollout.phase import Phase
from penstock.server.rollout.rollout import Rollout, Step, begin
from penstock.server.rollout.rollout_spec import Kind, RolloutSpec
from penstock.server.rollout.traffic import Mirror, Split
from penstock.server.target.plan import Outlook, Standing, aspire

R = Path("r")
ONLY_THE_FIRST = VersionPolicy(specific=(1,))


def rollout(
    kind: Kind = Kind.CANARY, phase: Phase = Phase.PROGRESSING, **fields: object
) -> Rollout:
    steps = (5.0, 50.0) if kind is Kind.CANARY else (20.0,)
    terms = RolloutSpec(steps=steps, sticky="x-user", fallback=False, slow_seconds=0.25)
    begun = begin("m-7", kind, "m", (1, 2), "sha256:2", terms, "me", 0.0)
    return replace(begun, phase=phase, steps=(Step(steps[0]),))


def plan(
    now: ModelState, serving: tuple[int, ...] = (1, 2), policy: VersionPolicy = ONLY_THE_FIRST
):
    versions = {number: R / str(number) for number in (1, 2)}
    entry = ModelEntry("m", R, versions, ModelConfig(version_policy=policy))
    standing = Standing(frozenset(serving), default=1)
    return aspire({"m": entry}, DesiredState(1, {"m": now}), Outlook({"m": standing})).get("m")


def during(one: Rollout, **fields: object) -> ModelState:
    return ModelState(**{"aliases": {"stable": 1}, "rollout": one.to_json(), **fields})


@pytest.mark.parametrize(
    "phase", [Phase.PROGRESSING, Phase.HELD, Phase.PAUSED, Phase.AWAITING_PROMOTION]
)
def test_a_canary_has_its_share_and_is_loaded_without_an_alias(phase):
    made = plan(during(rollout(phase=phase)))
    assert list(made.versions) == [1, 2]
    assert made.default == 1
    assert made.split == Split("m-7", 2, 5.0, "x-user", False, 0.25, 2.0, 0.0, 20, 10.0)  # noqa: FBT003
    assert made.mirror is None


def test_a_candidate_that_is_being_prepared_is_loaded_and_serves_nobody():
    made = plan(during(rollout(phase=Phase.PREPARING)), serving=(1,))
    assert list(made.versions) == [1, 2]
    assert made.split is None


@pytest.mark.parametrize("phase", [Phase.PROMOTED, Phase.ABORTED, Phase.FINISHED])
def test_after_the_end_stable_serves_alone(phase):
    made = plan(during(rollout(phase=phase)))
    assert (made.default, made.split, made.mirror) == (1, None, None)


def test_a_shadow_is_copied_to_and_not_loaded_by_workers():
    made = plan(during(rollout(Kind.SHADOW)))
    assert made.mirror == Mirror("m-7", 2, R / "2", 20.0)
    assert made.split is None
    assert list(made.versions) == [1]


def test_the_newest_version_is_not_the_default_while_it_is_on_trial():
    made = plan(ModelState(rollout=rollout().to_json()), policy=VersionPolicy())
    assert made.default == 1
    assert made.split is not None
    assert plan(ModelState(), policy=VersionPolicy()).default == 2


@pytest.mark.parametrize(
    "now",
    [
        during(rollout(), unloaded=frozenset({2})),
        during(rollout(), aliases={"stable": 2}),
        during(replace(rollout(), candidate=9)),
        ModelState(aliases={"stable": 1}, rollout={"id": 7}),
        ModelState(aliases={"stable": 9}, rollout=rollout().to_json()),
    ],
    ids=["unloaded", "stable already", "not published", "no record", "no stable version"],
)
def test_without_two_versions_there_is_no_split(now):
    assert plan(now).split is None
