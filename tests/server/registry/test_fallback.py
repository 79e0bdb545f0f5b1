"""What serves in the place of versions that cannot be loaded."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from penstock.server.config.model_config import ModelConfig
from penstock.server.config.version_policy import VersionPolicy
from penstock.server.desired_state.state import DesiredState, ModelState
from penstock.server.registry.repository import ModelEntry
from penstock.server.target.plan import Outlook, Standing, aspire

NOTHING = DesiredState()
NUMBERS = st.sets(st.integers(1, 60), min_size=1, max_size=12)


@given(present=NUMBERS, latest=st.integers(1, 3), serving=st.integers(0, 4), data=st.data())
def test_failed_versions_are_passed_over_in_one_step(present, latest, serving, data):
    ordered = sorted(present)
    broken = data.draw(st.integers(0, len(ordered) - 1))
    failed = frozenset(ordered[len(ordered) - broken :])
    sound = [version for version in ordered if version not in failed]
    ready = frozenset(sound[:serving])
    plan = plan_of(present, latest, Standing(ready, failed, default=max(ready, default=None)))
    assert list(plan.versions) == sound[-latest:]
    proven = [version for version in plan.versions if version in ready]
    assert plan.default == max(proven or plan.versions)


@given(present=NUMBERS, latest=st.integers(1, 3), data=st.data())
def test_whatever_fails_the_newest_sound_one_ends_up_serving(present, latest, data):
    """Each round a worker tries what the target names; rounds are no more than failures."""
    broken = data.draw(st.sets(st.sampled_from(sorted(present))))
    standing, rounds = Standing(), 0
    while True:
        plan = plan_of(present, latest, standing)
        rounds += 1
        tried = set(plan.versions)
        failed = standing.failed | (tried & broken)
        after = Standing(frozenset(tried - broken), frozenset(failed), plan.default)
        if after == standing:
            break
        standing = after
    assert rounds <= len(broken) + 3
    sound = sorted(present - broken)
    assert sorted(standing.serving) == sound[-latest:]
    if sound:
        assert plan.default == sound[-1]


@given(present=NUMBERS, broken=st.integers(0, 12))
def test_no_version_is_tried_again_while_its_successor_is_being_copied(present, broken):
    """Workers tell of a failure before the next version may be loaded."""
    ordered = sorted(present, reverse=True)
    failed = frozenset(ordered[:broken])
    tried, named = [], ()
    for taken in range(1, len(ordered) + 1):
        available = ordered[:taken]  # the next one is taken when those before it have failed
        standing = Standing(failed=failed & {*tried})
        named = tuple(plan_of(present, 1, standing, available, named).versions)
        tried += [version for version in named if version not in tried]
        standing = Standing(failed=failed & {*tried})
        assert tuple(plan_of(present, 1, standing, available, named).versions) == named
    assert tried == ordered[: broken + 1]
    assert named == (tried[-1],)


def test_an_operator_may_load_another_version_while_all_at_hand_have_failed():
    standing = Standing(failed=frozenset({2, 3}))
    state = DesiredState(1, {"m": ModelState(loaded=frozenset({3}))})
    plan = plan_of({1, 2, 3}, 1, standing, [2, 3], held=[2], state=state)
    assert list(plan.versions) == [2, 3]


def plan_of(present, latest, standing, available=None, held=(), state=NOTHING):
    versions = {number: Path("r") / str(number) for number in sorted(present)}
    config = ModelConfig(version_policy=VersionPolicy(latest=latest))
    entry = ModelEntry("m", Path("r"), versions, config)
    at_hand = None
    if available is not None:
        at_hand = {"m": {number: versions[number] for number in available}}
    outlook = Outlook({"m": standing}, at_hand, held={"m": held})
    return aspire({"m": entry}, state, outlook)["m"]
