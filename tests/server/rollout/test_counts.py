from __future__ import annotations

from hypothesis import given
from strategies import counts

from penstock.server.rollout.counts import ArmCounts, Counts, PairCounts


@given(counts, counts)
def test_taking_away_what_was_added_leaves_what_was_there(one, other):
    back = one.plus(other).minus(other)
    size = len(one.scores)
    assert (back.stable, back.canary, back.pairs) == (one.stable, one.canary, one.pairs)
    assert back.scores[:size] == one.scores
    assert set(back.scores[size:]) <= {(0, 0)}


@given(counts, counts)
def test_adding_commutes(one, other):
    assert one.plus(other) == other.plus(one)


@given(counts)
def test_nothing_added_changes_nothing(one):
    assert one.plus(Counts()) == one
    assert one.minus(one).smallest() == 0


def test_every_figure_is_added_to_its_own():
    one = Counts(
        ArmCounts(*range(1, 9)), ArmCounts(*range(11, 19)), PairCounts(*range(21, 25)), ((31, 32),)
    )
    assert one.plus(one) == Counts(
        ArmCounts(*range(2, 17, 2)),
        ArmCounts(*range(22, 37, 2)),
        PairCounts(*range(42, 49, 2)),
        ((62, 64),),
    )


def test_a_figure_that_went_back_shows():
    for smaller in (
        Counts(stable=ArmCounts(wrong=1)),
        Counts(canary=ArmCounts(requests=1)),
        Counts(pairs=PairCounts(dropped=1)),
        Counts(scores=((0, 0), (0, 1))),
    ):
        assert Counts().minus(smaller).smallest() == -1
