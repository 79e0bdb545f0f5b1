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


def view(pointed: str, before: str | None = None, **known: Any) -> AliasView:
    return AliasView(pointed, before, HERE, **known)


@pytest.mark.parametrize(
    ("seen", "step"),
    [
        (view(""), None),
        (view("9"), AliasStep(PUBLISH, "9")),
        (view("7", "2", stable=2), None),  # the newest: `on_push` decides
        (view("7", "2", stable=2, on_trial=3), None),
        (view("2", "7", stable=3), AliasStep(PROMOTE, "2")),
        (view("2", stable=3), None),  # not seen to move: an operator may have decided it
        (view("2", "2", stable=3), None),
        (view("2", "7", stable=2), None),
        (view("7", "7", stable=2, aborted=3), AliasStep(RESTORE, "2")),
        (view("7", "7", stable=9, aborted=3), None),  # what is stable came from elsewhere
        (view("7", "7", stable=None, aborted=3), None),
    ],
)
def test_the_step_that_follows(seen: AliasView, step: AliasStep | None) -> None:
    assert alias_step(seen, restore=True) == step


def test_an_alias_is_set_back_only_where_that_is_asked_for() -> None:
    assert alias_step(view("7", "7", stable=2, aborted=3), restore=False) is None


NUMBERS = st.none() | st.integers(1, 4)


@given(
    st.sampled_from(["", "1", "2", "7", "9"]),
    st.sampled_from([None, "1", "2", "7", "9"]),
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.booleans(),
)
def test_what_answers_or_is_on_trial_is_never_touched(
    pointed: str,
    before: str | None,
    stable: int | None,
    on_trial: int | None,
    aborted: int | None,
    restore: bool,
) -> None:
    seen = AliasView(pointed, before, HERE, stable, on_trial, aborted)
    step = alias_step(seen, restore=restore)
    if pointed and HERE.get(pointed) in {stable, on_trial} - {None}:
        assert step is None
    if step is not None and step.action == RESTORE:
        assert restore
        assert HERE[step.pointed] == stable
