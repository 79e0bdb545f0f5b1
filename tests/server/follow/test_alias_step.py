"""What is done about an alias: only what was asked for, and nothing twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.follow.alias_step import (
    PROMOTE,
    PUBLISH,
    RESTORE,
    AliasStep,
    AliasView,
    alias_step,
)
from penstock.server.registry.mlflow_version import MlflowVersion


def version(number: str) -> MlflowVersion:
    return MlflowVersion("m", number, "1")


HERE = {version("1"): 1, version("2"): 2, version("7"): 3}


def view(pointed: str, *, moved: bool = False, **known: Any) -> AliasView:
    return AliasView(version(pointed) if pointed else None, moved, HERE, **known)


def step(action: str, pointed: str) -> AliasStep:
    return AliasStep(action, version(pointed))


SERVE, WAIT, CANARY = "serve", "wait", "canary"


@pytest.mark.parametrize(
    ("seen", "due"),
    [
        (view(""), None),
        (view("9"), step(PUBLISH, "9")),
        # The newest one answers by itself, until somebody has named a stable version.
        (view("7", moved=True, stable=2), None),
        (view("7", moved=True, stable=2, pinned=True, tried=2), step(PROMOTE, "7")),
        (view("7", moved=True, stable=2, pinned=True, tried=3), step(PROMOTE, "7")),
        (view("7", moved=True, stable=2, on_trial=3), None),
        (view("2", moved=True, stable=3), step(PROMOTE, "2")),
        (view("2", stable=3), None),  # not seen to move: an operator may have decided it
        (view("2", moved=True, stable=2), None),
        # A canary of what was never tried begins by itself; what was tried is promoted.
        (view("7", moved=True, stable=2, pinned=True, tried=2, on_push=CANARY), None),
        (
            view("7", moved=True, stable=2, pinned=True, tried=3, on_push=CANARY),
            step(PROMOTE, "7"),
        ),
        (view("7", moved=True, stable=2, pinned=True, tried=2, on_push=WAIT), None),
        (
            view("1", moved=True, stable=2, pinned=True, tried=2, on_push=WAIT),
            step(PROMOTE, "1"),
        ),
        (view("7", stable=2, aborted=3), step(RESTORE, "2")),
        (view("7", moved=True, stable=2, aborted=3, tried=3), step(RESTORE, "2")),
        (view("7", stable=9, aborted=3), None),  # what is stable came from elsewhere
        (view("7", stable=None, aborted=3), None),
    ],
)
def test_the_step_that_follows(seen: AliasView, due: AliasStep | None) -> None:
    assert alias_step(seen, restore=True) == due


def test_a_version_of_the_same_number_that_was_made_again_is_another_one() -> None:
    """A model that is deleted and registered again counts from 1 again."""
    again = MlflowVersion("m", "7", "2")
    assert alias_step(AliasView(again, moved=True, published=HERE), restore=True) == AliasStep(
        PUBLISH, again
    )


def test_an_alias_is_set_back_only_where_that_is_asked_for() -> None:
    assert alias_step(view("7", stable=2, aborted=3), restore=False) is None


NUMBERS = st.none() | st.integers(1, 4)
VIEWS = st.builds(
    AliasView,
    pointed=st.none() | st.sampled_from(["1", "2", "7", "9"]).map(version),
    moved=st.booleans(),
    published=st.just(HERE),
    stable=NUMBERS,
    pinned=st.booleans(),
    tried=st.integers(0, 4),
    on_push=st.sampled_from([SERVE, WAIT, CANARY]),
    on_trial=NUMBERS,
    aborted=NUMBERS,
)


@given(VIEWS, st.booleans())
def test_what_answers_or_is_on_trial_is_never_touched(seen: AliasView, restore: bool) -> None:
    due = alias_step(seen, restore=restore)
    if seen.reached:
        assert due is None
    if due is not None and due.action == RESTORE:
        assert restore
        assert HERE[due.pointed] == seen.stable
    if due is not None and due.action == PROMOTE:
        assert seen.moved


@given(VIEWS)
def test_a_version_that_an_alias_has_moved_to_is_left_to_itself_only_where_it_gets_there(
    seen: AliasView,
) -> None:
    """Nobody promotes it, so it is the newest of a model without a stable one, or not tried yet."""
    here = seen.version
    idle = alias_step(seen, restore=False) is None
    if idle and seen.moved and here not in {None, seen.aborted} and not seen.reached:
        assert here is not None
        if seen.on_push == SERVE:
            assert not seen.pinned
            assert here == 3
        else:
            assert here > seen.tried
