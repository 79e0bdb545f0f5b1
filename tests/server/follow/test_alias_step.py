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

HERE = {"1": 1, "2": 2, "7": 3}


def view(pointed: str, *, moved: bool = False, **known: Any) -> AliasView:
    return AliasView(pointed, moved, HERE, **known)


SERVE, WAIT, CANARY = "serve", "wait", "canary"


@pytest.mark.parametrize(
    ("seen", "step"),
    [
        (view(""), None),
        (view("9"), AliasStep(PUBLISH, "9")),
        # The newest one answers by itself, until somebody has named a stable version.
        (view("7", moved=True, stable=2), None),
        (view("7", moved=True, stable=2, pinned=True, tried=2), AliasStep(PROMOTE, "7")),
        (view("7", moved=True, stable=2, pinned=True, tried=3), AliasStep(PROMOTE, "7")),
        (view("7", moved=True, stable=2, on_trial=3), None),
        (view("2", moved=True, stable=3), AliasStep(PROMOTE, "2")),
        (view("2", stable=3), None),  # not seen to move: an operator may have decided it
        (view("2", moved=True, stable=2), None),
        # A canary of what was never tried begins by itself; what was tried is promoted.
        (view("7", moved=True, stable=2, pinned=True, tried=2, on_push=CANARY), None),
        (
            view("7", moved=True, stable=2, pinned=True, tried=3, on_push=CANARY),
            AliasStep(PROMOTE, "7"),
        ),
        (view("7", moved=True, stable=2, pinned=True, tried=2, on_push=WAIT), None),
        (
            view("1", moved=True, stable=2, pinned=True, tried=2, on_push=WAIT),
            AliasStep(PROMOTE, "1"),
        ),
        (view("7", stable=2, aborted=3), AliasStep(RESTORE, "2")),
        (view("7", moved=True, stable=2, aborted=3, tried=3), AliasStep(RESTORE, "2")),
        (view("7", stable=9, aborted=3), None),  # what is stable came from elsewhere
        (view("7", stable=None, aborted=3), None),
    ],
)
def test_the_step_that_follows(seen: AliasView, step: AliasStep | None) -> None:
    assert alias_step(seen, restore=True) == step


def test_an_alias_is_set_back_only_where_that_is_asked_for() -> None:
    assert alias_step(view("7", stable=2, aborted=3), restore=False) is None


NUMBERS = st.none() | st.integers(1, 4)
VIEWS = st.builds(
    AliasView,
    pointed=st.sampled_from(["", "1", "2", "7", "9"]),
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
    step = alias_step(seen, restore=restore)
    if seen.reached:
        assert step is None
    if step is not None and step.action == RESTORE:
        assert restore
        assert HERE[step.pointed] == seen.stable
    if step is not None and step.action == PROMOTE:
        assert seen.moved


@given(VIEWS)
def test_a_version_that_an_alias_has_moved_to_is_left_to_itself_only_where_it_gets_there(
    seen: AliasView,
) -> None:
    """Nobody promotes it, so it is the newest of a model without a stable one, or not tried yet."""
    version = seen.version
    idle = alias_step(seen, restore=False) is None
    if idle and seen.moved and version not in {None, seen.aborted} and not seen.reached:
        assert version is not None
        if seen.on_push == SERVE:
            assert not seen.pinned
            assert version == 3
        else:
            assert version > seen.tried
