"""The desired state: every change is pure, numbered, and refused with a reason."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from penstock.server.desired_state.state import (
    MAX_HISTORY,
    DesiredState,
    ModelState,
    check_generation,
    load,
    promote,
    remove_alias,
    rollback,
    set_alias,
    unload,
)
from penstock.server.desired_state.state_file import decode_state, encode_state
from penstock.server.errors import ApiError, Conflict, InvalidRequest, NotFound
from penstock.server.target.plan import wanted_versions

SERVING = {1, 2, 3}
START = DesiredState()


def stable(*versions):
    state = START
    for version in versions:
        state = promote(state, "m", version, SERVING)
    return state


def test_promote_moves_stable_and_counts():
    state = stable(1, 2)
    assert state.generation == 2
    assert state.model("m").stable == 2
    assert state.model("m").former == (1,)


def test_promote_of_what_is_stable_changes_nothing():
    state = stable(1)
    assert promote(state, "m", 1, SERVING) is state


def test_promote_ends_the_canary_on_that_version_only():
    state = set_alias(set_alias(stable(1), "m", "canary", 2, SERVING), "m", "shadow", 3, SERVING)
    assert promote(state, "m", 3, SERVING).model("m").aliases["canary"] == 2
    assert promote(state, "m", 2, SERVING).model("m").aliases == {"stable": 2, "shadow": 3}


def test_an_alias_moves_only_to_a_loaded_version():
    for change in (
        lambda: promote(START, "m", 9, SERVING),
        lambda: set_alias(START, "m", "mine", 9, SERVING),
    ):
        with pytest.raises(
            Conflict, match=r"version 9 .* not loaded on every worker; loaded: 1, 2"
        ):
            change()


@pytest.mark.parametrize("alias", ["", "1", "a b", "../x", "x" * 65, "é"])
def test_an_alias_has_a_plain_name(alias):
    with pytest.raises(InvalidRequest, match="not an alias"):
        set_alias(START, "m", alias, 1, SERVING)


def test_aliases_are_bounded():
    state = START
    for number in range(64):
        state = set_alias(state, "m", f"a{number}", 1, SERVING)
    with pytest.raises(InvalidRequest, match="64 aliases"):
        set_alias(state, "m", "more", 1, SERVING)


def test_the_alias_stable_is_promoted():
    assert set_alias(stable(1), "m", "stable", 2, SERVING) == stable(1, 2)


def test_rollback_goes_back_step_by_step():
    state = stable(1, 2, 3)
    state = rollback(state, "m", SERVING)
    assert (state.model("m").stable, state.model("m").former) == (2, (1,))
    state = rollback(state, "m", SERVING)
    assert state.model("m").stable == 1
    with pytest.raises(NotFound, match="no version of model 'm' to go back to; stable is 1"):
        rollback(state, "m", SERVING)


def test_rollback_needs_the_version_loaded():
    with pytest.raises(Conflict, match="version 1"):
        rollback(stable(1, 2), "m", {2})


def test_history_is_bounded():
    state = stable(*[1, 2] * MAX_HISTORY)
    assert len(state.model("m").former) == MAX_HISTORY


def test_load_and_unload_overrule_the_policy():
    state = load(START, "m", 1, {1, 2})
    assert wanted_versions(state.model("m"), {2}) == (1, 2)
    state = unload(state, "m", 1)
    assert wanted_versions(state.model("m"), {1, 2}) == (2,)
    assert wanted_versions(load(state, "m", 1, {1}).model("m"), set()) == (1,)
    with pytest.raises(NotFound, match="not published; there are 1, 2"):
        load(START, "m", 3, {1, 2})


def test_what_an_alias_points_at_stays_loaded():
    state = set_alias(stable(1), "m", "canary", 1, SERVING)
    with pytest.raises(Conflict, match="canary, stable of model 'm' is version 1; move it first"):
        unload(state, "m", 1)


def test_what_was_stable_before_stays_warm():
    assert wanted_versions(stable(1, 2, 3).model("m"), {3}) == (2, 3)


def test_remove_alias_leaves_no_trace():
    state = set_alias(stable(1), "m", "c", 2, SERVING)
    assert remove_alias(state, "m", "c").model("m") == stable(1).model("m")
    with pytest.raises(Conflict, match="can be moved, not removed"):
        remove_alias(state, "m", "stable")
    with pytest.raises(NotFound, match="no alias 'x'; c is 2, stable is 1"):
        remove_alias(state, "m", "x")


def test_of_two_operators_the_second_is_told():
    state = stable(1)
    check_generation(state, 1)
    check_generation(state, None)
    with pytest.raises(Conflict, match="at generation 1, you saw 0"):
        check_generation(state, 0)


class AnyChanges(RuleBasedStateMachine):
    """Any sequence of changes, by operators who are sometimes wrong."""

    def __init__(self):
        super().__init__()
        self.state = DesiredState()
        self.policy = {1, 2, 3, 4}

    def change(self, function, *arguments):
        before = self.state
        try:
            self.state = function(before, "m", *arguments)
        except ApiError:
            return
        if self.state is before:
            return
        assert self.state.generation == before.generation + 1
        assert self.state.model("m") != before.model("m")

    @property
    def serving(self):
        return set(wanted_versions(self.state.model("m"), self.policy))

    @rule(version=st.integers(1, 6))
    def promotes(self, version):
        self.change(promote, version, self.serving)

    @rule()
    def rolls_back(self):
        before = self.state.model("m")
        self.change(rollback, self.serving)
        if self.state.model("m") is not before and before.former:
            assert self.state.model("m").stable in {before.former[-1], before.stable}

    @rule(alias=st.sampled_from(["canary", "shadow", "mine", "stable"]), version=st.integers(1, 6))
    def aliases(self, alias, version):
        self.change(set_alias, alias, version, self.serving)

    @rule(alias=st.sampled_from(["canary", "shadow", "mine"]))
    def forgets(self, alias):
        self.change(remove_alias, alias)

    @rule(version=st.integers(1, 6))
    def loads(self, version):
        self.change(load, version, range(1, 7))

    @rule(version=st.integers(1, 6))
    def unloads(self, version):
        self.change(unload, version)

    @invariant()
    def aliases_point_at_wanted_versions(self):
        now = self.state.model("m")
        assert set(now.aliases.values()) <= self.serving
        assert not now.loaded & now.unloaded

    @invariant()
    def it_is_read_as_written(self):
        assert decode_state(encode_state(self.state)) == self.state


TestAnyChanges = AnyChanges.TestCase


def test_a_model_nobody_spoke_of_is_empty():
    assert START.model("x") == ModelState()
