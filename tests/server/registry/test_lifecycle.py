"""The states of a version: every move there is, and who is told of a failure."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from penstock.server.serving.lifecycle import TRANSITIONS, State, Status, without_places


@pytest.mark.parametrize(("before", "after"), [*product(State, State)])
def test_only_the_moves_of_the_table_are_possible(before, after):
    status = Status(before, "old", 1.0)
    if after in TRANSITIONS[before]:
        assert status.move(after, "new", 2.0) == Status(after, "new", 2.0, "new")
    else:
        with pytest.raises(ValueError, match=f"from {before} to {after}"):
            status.move(after)


def test_every_state_can_be_left_and_reached():
    assert all(TRANSITIONS[state] for state in State)
    assert {after for moves in TRANSITIONS.values() for after in moves} == {*State} - {State.NEW}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cannot load /srv/r/m/1/model.onnx: no", "cannot load model.onnx: no"),
        ("no model file in /srv/r/m/1", "no model file in its directory"),
        ("/srv/r/m/model.toml: odd", "m/model.toml: odd"),
        ("/srv/r/m/1 and /srv/r/m/10/a", "its directory and m/10/a"),
        ("/srv/state/copies/ab/w.bin is missing", "copies/ab/w.bin is missing"),
        ("node /conv/MatMul is odd", "node /conv/MatMul is odd"),
    ],
)
def test_callers_are_not_told_where_things_are(text, told):
    assert without_places(text, map(Path, ("/srv/r", "/srv/r/m/1", "/srv/state"))) == told
