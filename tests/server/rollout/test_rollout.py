from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from strategies import rollouts, started

from penstock.server.errors import InvalidRequest
from penstock.server.rollout.phase import FINAL, Phase
from penstock.server.rollout.record import RecordError
from penstock.server.rollout.rollout import SHARING, Rollout, Step, begin, mirror_of, split_of
from penstock.server.rollout.rollout_spec import MAX_STEPS, Kind, RolloutSpec
from penstock.server.rollout.traffic import Mirror, Split

WHERE = Path("models")


@given(rollouts)
def test_a_rollout_comes_back_from_json_as_it_went(rollout):
    text = json.dumps(rollout.to_json(), allow_nan=False)
    assert Rollout.from_json(json.loads(text)) == rollout


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("candidate", "2", "candidate is '2', expected a whole number"),
        ("candidate", True, "candidate is True, expected a whole number"),
        ("started_at", float("nan"), "started_at is nan, expected a finite number"),
        ("phase", "gone", "phase is 'gone', expected one of preparing, "),
        ("phase", [1], r"phase is \[1\], expected one of preparing, "),
        ("terms", [], r"terms is \[\], expected an object"),
        ("terms", {"steps": [1, "5"]}, r"terms.steps\[1\] is '5', expected a number"),
        ("steps", "all", "steps is 'all', expected a list"),
        ("steps", [{}], r"steps\[0\]\.percent is missing"),
        (
            "steps",
            [{"percent": 1, "counts": {"scores": [[1, 2, 3]]}}],
            r"steps\[0\]\.counts\.scores\[0\] is \[1, 2, 3\], expected a list of 2 values",
        ),
        ("surprise", 1, "unknown key surprise; expected one of id, "),
    ],
)
def test_what_was_not_written_so_is_refused(key, value, complaint):
    content = {**started().to_json(), key: value}
    with pytest.raises(RecordError, match=complaint):
        Rollout.from_json(content)


def test_what_is_missing_on_disk_has_its_default():
    content = started().to_json()
    needed = {"id", "kind", "model", "candidate", "digest", "stable", "requester", "terms"}
    kept = {key: content[key] for key in (*needed, "started_at")}
    back = Rollout.from_json(kept)
    assert back.phase is Phase.PREPARING
    assert {field.name for field in fields(back)} == content.keys()


def test_something_else_than_an_object_is_refused():
    with pytest.raises(RecordError, match="it is 3, expected an object"):
        Rollout.from_json(3)


@pytest.mark.parametrize("phase", Phase)
def test_requests_are_shared_from_the_first_step_to_the_end(phase):
    rollout = replace(started(), phase=phase, steps=(Step(5.0),))
    expected = Split("m-1", 2, 5.0, "", True, 0.0, 2.0, 0.0, 20, 10.0)  # noqa: FBT003
    if phase is Phase.WATCHING:  # the version before is not the default any more
        expected = replace(expected, stable=1, watching=True)
    assert split_of(rollout) == (expected if phase in SHARING else None)
    assert mirror_of(rollout, WHERE) is None


def test_a_split_carries_the_terms():
    rollout = started(sticky="x-user", fallback=False, slow_seconds=0.2)
    rollout = replace(rollout, phase=Phase.PAUSED, steps=(Step(5.0), Step(50.0)))
    assert split_of(rollout) == Split("m-1", 2, 50.0, "x-user", False, 0.2, 2.0, 0.0, 20, 10.0)  # noqa: FBT003


@pytest.mark.parametrize("phase", Phase)
def test_a_shadow_is_loaded_before_anything_is_copied(phase):
    steps = () if phase is Phase.PREPARING else (Step(50.0),)
    rollout = replace(started(Kind.SHADOW), phase=phase, steps=steps)
    percent = 0.0 if phase is Phase.PREPARING else 50.0
    assert mirror_of(rollout, WHERE) == (
        None if phase in FINAL else Mirror("m-1", 2, WHERE, percent)
    )
    assert split_of(rollout) is None


@pytest.mark.parametrize(
    ("kind", "terms", "complaint"),
    [
        (Kind.CANARY, RolloutSpec(steps=()), "there are 0 steps, expected 1 to 20"),
        (Kind.CANARY, RolloutSpec(steps=tuple(range(1, MAX_STEPS + 2))), "there are 21 steps"),
        (Kind.CANARY, RolloutSpec(steps=(5.0, 1.0)), "the steps are 5, 1; expected percentages"),
        (Kind.CANARY, RolloutSpec(steps=(5.0, 5.0)), "ascending"),
        (Kind.CANARY, RolloutSpec(steps=(0.0, 5.0)), "above 0"),
        (Kind.CANARY, RolloutSpec(steps=(5.0, 101.0)), "percentages"),
        (Kind.CANARY, RolloutSpec(steps=(float("nan"),)), "percentages"),
        (Kind.CANARY, RolloutSpec(steps=(100.0,)), "leaves nothing to compare with"),
        (Kind.AB, RolloutSpec(steps=(100.0,)), "leaves nothing to compare with"),
        (Kind.AB, RolloutSpec(steps=(5.0, 50.0)), "kind ab has one share, not 2 steps"),
        (Kind.SHADOW, RolloutSpec(), "kind shadow has one share, not 5 steps"),
        (Kind.CANARY, RolloutSpec(alpha=0.0), "alpha is 0.0, expected 1e-09 to 0.5"),
        (
            Kind.CANARY,
            RolloutSpec(hold_seconds=float("inf")),
            "hold_seconds is inf, expected 0 or more",
        ),
        (Kind.CANARY, RolloutSpec(min_requests=0), "min_requests is 0, expected 1 or more"),
        (Kind.CANARY, RolloutSpec(min_requests=10**400), "min_requests is 10+, expected 1 or more"),
        (Kind.CANARY, RolloutSpec(max_disagreement_percent=0.0), "max_disagreement_percent is 0"),
    ],
)
def test_terms_that_make_no_sense_are_refused(kind, terms, complaint):
    with pytest.raises(InvalidRequest, match=complaint):
        begin("m-1", kind, "m", (1, 2), "sha256:2", terms, "ann", 0.0)


def test_a_shadow_may_have_all_the_traffic():
    assert started(Kind.SHADOW, steps=(100.0,)).terms.ramp(Kind.SHADOW) == (100.0,)


def test_a_canary_s_last_100_percent_is_its_promotion():
    terms = RolloutSpec(steps=(1.0, 100.0))
    assert terms.ramp(Kind.CANARY) == (1.0,)
    assert terms.promotes
    assert not RolloutSpec(steps=(1.0, 50.0)).promotes


def test_a_deadline_of_zero_is_none():
    assert started(deadline_seconds=0.0).deadline_at == 0.0
    assert started(deadline_seconds=60.0).deadline_at == 60.0
