"""The evidence against a candidate: each part, and all parts joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .arm_evidence import ArmEvents, arm_evidence
from .pair_evidence import agreement_evidence, disagreement_evidence
from .rescue_evidence import unit_evidence
from .rollout_spec import Kind
from .score_evidence import ScoreBins, score_evidence, share_evidence
from .segment_evidence import segment_evidence
from .segment_scores import SegmentChange, changes, segment_score_change

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .counts import ArmCounts
    from .rollout import Rollout

#: Tolerated risk of a bad request of the candidate, as a multiple of stable's risk.
TOLERATED: Final = 1.5


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the evidence: bad events of an arm that are counted together.

    Attributes:
        kinds: Names of the counts of an arm that are added up.
        repeated: The count of those among them that repeat an earlier one of their unit; empty if
            there is no such thing.
        tolerated: The ratio of risks that is tolerated.
    """

    kinds: tuple[str, ...]
    repeated: str = ""
    tolerated: float = TOLERATED

    def requests(self, arm: ArmCounts) -> int:
        """All bad requests of an arm."""
        return sum([getattr(arm, kind) for kind in self.kinds])

    def events(self, arm: ArmCounts) -> int:
        """Bad requests that are evidence: the first one of each unit."""
        return self.requests(arm) - (getattr(arm, self.repeated) if self.repeated else 0)


#: The parts that compare the arms. A request fails one way, so errors and timeouts are one part.
PARTS: Final[dict[str, Part]] = {
    "errors": Part(("errors", "timeouts"), "repeated_failures"),
    "invalid": Part(("invalid",), "repeated_invalid"),
    "slow": Part(("slow",), "repeated_slow"),
    "labels": Part(("wrong",), tolerated=1.0),
}
#: E value from which on both arms count as labelled differently.
MISMATCH: Final = 5.0
#: Of the bet on a change of scores, the part on all traffic; the rest is on single segments.
ALL_SCORES: Final = 0.5
#: The part of single units, and of all requests that stable was asked in the canary's place.
UNITS: Final = "units"

#: Weight of each part. The weights sum to 1, so that the sum is an e-process. An A/B comparison
#: aborts for its guards only, because it has to find out whose answers are right.
WEIGHTS: Final[dict[Kind, dict[str, float]]] = {
    Kind.CANARY: {"errors": 0.4, "invalid": 0.15, "slow": 0.15, "labels": 0.15, UNITS: 0.15},
    Kind.AB: {"errors": 0.4, "invalid": 0.25, "slow": 0.2, UNITS: 0.15},
    Kind.SHADOW: {"disagreement": 1.0},
}
#: The part of single segments; see `segment_evidence`.
SEGMENTS: Final = "segments"
#: The weights of a rollout whose traffic is divided into segments.
SEGMENTED_WEIGHTS: Final[dict[Kind, dict[str, float]]] = {
    Kind.CANARY: {
        "errors": 0.35,
        "invalid": 0.1,
        "slow": 0.15,
        "labels": 0.1,
        UNITS: 0.15,
        SEGMENTS: 0.15,
    },
    Kind.AB: {"errors": 0.35, "invalid": 0.2, "slow": 0.15, UNITS: 0.15, SEGMENTS: 0.15},
    Kind.SHADOW: WEIGHTS[Kind.SHADOW],
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence against a candidate at one moment.

    Attributes:
        parts: E value of each part; 1 is no evidence.
        total: All parts that count for this kind of rollout, joined; abort at 1 / alpha.
    """

    parts: Mapping[str, float]
    total: float


def evidence_against(rollout: Rollout) -> Evidence:
    """The evidence against the candidate, by its present counts."""
    parts = e_values(rollout)
    return Evidence(parts, combined(rollout.kind, parts))


def e_values(rollout: Rollout) -> dict[str, float]:
    """The evidence against the candidate by part, by its present counts; 1 is no evidence."""
    if rollout.kind is Kind.SHADOW:
        return _of_pairs(rollout)
    parts = {name: _of_arms(rollout, part) for name, part in PARTS.items()}
    if labels_held(rollout):  # not higher: a bet that is lost stays lost
        parts["labels"] = min(1.0, parts["labels"])
    parts[UNITS] = unit_evidence(rollout.units, tried(rollout), TOLERATED)
    if rollout.terms.segments:
        parts[SEGMENTS] = segment_evidence(rollout, labels=labels_count(rollout))
    return parts


def combined(kind: Kind, parts: Mapping[str, float]) -> float:
    """All parts that count for this kind of rollout, joined; abort at 1 / alpha."""
    return sum(weight * parts[part] for part, weight in weights_of(kind, parts).items())


def weights_of(kind: Kind, parts: Mapping[str, float]) -> Mapping[str, float]:
    """The weight of each part in a rollout that has these parts."""
    return (SEGMENTED_WEIGHTS if SEGMENTS in parts else WEIGHTS)[kind]


def labels_count(rollout: Rollout) -> bool:
    """Whether labels are evidence against the candidate."""
    return rollout.kind is Kind.CANARY and not labels_held(rollout)


def score_change(rollout: Rollout) -> float:
    """E value against "both versions distribute their scores alike"; a reason to hold.

    Unlike the arm of bad events it has no safe side, so it rests on what was counted while every
    worker had the share. Behind a sticky header it says nothing: many scores may be one user's.
    With segments one half of the bet is on all traffic, and one half on single segments.
    """
    if rollout.terms.sticky:
        return 1.0
    whole = score_evidence(
        ScoreBins(one.percent / 100.0, one.exposure.scores)
        for one in rollout.steps
        if one.counts.scores
    )
    if not rollout.terms.segments:
        return whole
    return ALL_SCORES * whole + (1.0 - ALL_SCORES) * segment_score_change(rollout)


def score_changes(rollout: Rollout) -> list[SegmentChange]:
    """The change of scores in each segment, the most evidence first; none if it says nothing."""
    return [] if rollout.terms.sticky or not rollout.terms.segments else changes(rollout)


def agreement(rollout: Rollout) -> float:
    """E value against "the shadow disagrees too often", by which a shadow finishes."""
    pairs, disagreements = _pairs(rollout)
    return agreement_evidence(pairs, disagreements, _tolerated(rollout))


def labels_held(rollout: Rollout) -> str:
    """Why labels are no evidence in this rollout; empty if they are.

    The law of the arms holds for the labelled requests if both arms are labelled alike. So the
    arms of all labelled requests are tested against the shares (sample-ratio mismatch), at every
    look and before there are enough wrong answers to decide anything.
    """
    if rollout.terms.sticky and rollout.kind is not Kind.SHADOW:
        return (
            f"arms are chosen by the header {rollout.terms.sticky}, and labels do not tell whose "
            "they are: many may be one user's"
        )
    mismatch = share_evidence(
        ScoreBins(one.percent / 100.0, ((one.counts.stable.labelled, one.counts.canary.labelled),))
        for one in rollout.steps
    )
    if mismatch < MISMATCH:
        return ""
    canary = sum(step.counts.canary.labelled for step in rollout.steps)
    stable = sum(step.counts.stable.labelled for step in rollout.steps)
    return (
        f"both arms are not labelled alike: {canary} labelled requests of the candidate and "
        f"{stable} of stable do not fit the shares (E = {mismatch:.3g})"
    )


def tried(rollout: Rollout) -> tuple[int, int, int]:
    """Requests of the canary in all steps: answered, rescued by stable, failed by both."""
    each = [step.counts.canary.tried for step in rollout.steps]
    answered, rescued, both_failed = zip(*each, strict=True) if each else ((), (), ())
    return sum(answered), sum(rescued), sum(both_failed)


def _of_arms(rollout: Rollout, part: Part) -> float:
    return arm_evidence(
        [
            ArmEvents(
                share=step.percent / 100.0,
                canary=part.events(step.counts.canary),
                stable=part.events(step.counts.stable),
            )
            for step in rollout.steps
        ],
        part.tolerated,
    )


def _of_pairs(rollout: Rollout) -> dict[str, float]:
    pairs, disagreements = _pairs(rollout)
    return {"disagreement": disagreement_evidence(pairs, disagreements, _tolerated(rollout))}


def _pairs(rollout: Rollout) -> tuple[int, int]:
    counts = [step.counts.pairs for step in rollout.steps]
    return sum(one.pairs for one in counts), sum(one.disagreements for one in counts)


def _tolerated(rollout: Rollout) -> float:
    return rollout.terms.max_disagreement_percent / 100.0
