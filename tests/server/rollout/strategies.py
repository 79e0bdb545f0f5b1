"""Rollouts and counts of all kinds, for hypothesis."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from penstock.server.rollout.counts import ArmCounts, Counts, PairCounts
from penstock.server.rollout.phase import Phase
from penstock.server.rollout.rollout import Approval, Base, Rollout, Step, begin
from penstock.server.rollout.rollout_spec import Kind, RolloutSpec

texts = st.text(max_size=8)
moments = st.floats(0, 4e9)
figures = st.integers(0, 1 << 40)

arm_counts = st.builds(
    ArmCounts, **dict.fromkeys(("requests", "errors", "timeouts", "slow", "wrong"), figures)
)
pair_counts = st.builds(PairCounts, **dict.fromkeys(("pairs", "disagreements"), figures))
scores = st.lists(st.tuples(figures, figures), max_size=3).map(tuple)
counts = st.builds(Counts, arm_counts, arm_counts, pair_counts, scores)

percents = st.floats(0.01, 99.0)
ramps = st.lists(percents, min_size=1, max_size=5, unique=True).map(lambda p: tuple(sorted(p)))
terms = st.builds(
    RolloutSpec,
    steps=ramps | ramps.map(lambda ramp: (*ramp, 100.0)),
    hold_seconds=st.floats(0, 1e6),
    min_requests=st.integers(1, 10**6),
    alpha=st.floats(0.001, 0.5),
    require_approval=st.booleans(),
    sticky=texts,
)
rollouts = st.builds(
    Rollout,
    id=texts,
    kind=st.sampled_from(Kind),
    model=texts,
    candidate=st.integers(1, 99),
    digest=texts,
    stable=st.integers(1, 99),
    requester=texts,
    terms=terms,
    started_at=moments,
    deadline_at=moments,
    phase=st.sampled_from(Phase),
    phase_since=moments,
    reason=texts,
    cause=texts,
    by=texts,
    steps=st.lists(st.builds(Step, percents, counts, st.none() | counts, moments), max_size=3).map(
        tuple
    ),
    base=st.none() | st.builds(Base, texts, counts),
    approval=st.none() | st.builds(Approval, texts, texts, moments),
    accepted=st.lists(texts, max_size=2).map(tuple),
    seen_at=moments,
    saved_at=moments,
)

#: Few and small, so that a rollout can be walked through by hand.
TERMS = RolloutSpec(
    steps=(5.0, 50.0, 100.0), hold_seconds=10.0, min_requests=100, watch_seconds=0.0
)


def started(kind: Kind = Kind.CANARY, **changes: object) -> Rollout:
    """A rollout of small terms, begun at 0 by Ann."""
    chosen = TERMS if kind is Kind.CANARY else replace(TERMS, steps=(50.0,))
    chosen = replace(chosen, **changes)  # type: ignore[arg-type]
    return begin("m-1", kind, "m", (1, 2), "sha256:2", chosen, "ann", 0.0)
