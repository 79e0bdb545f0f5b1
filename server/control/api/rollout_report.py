"""A rollout for its readers: in short for the status, in full for the report. Pure."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from penstock.server.desired_state.rollout_state import terms_digest
from penstock.server.rollout.arm_rates import results
from penstock.server.rollout.evidence import (
    agreement,
    combined,
    e_values,
    labels_count,
    labels_held,
    score_change,
    score_changes,
)
from penstock.server.rollout.rollout_spec import Kind
from penstock.server.rollout.segment_counts import SegmentCounts, totals
from penstock.server.rollout.segment_evidence import ranked
from penstock.server.rollout.step_gate import bad_requests

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from penstock.server.control.coordination.rollout_controller import Progress
    from penstock.server.rollout.interval import Interval
    from penstock.server.rollout.rollout import Rollout


def summary(progress: Progress) -> dict[str, Any]:
    """One rollout in a few figures; what it waits for, or why it is over."""
    rollout = progress.rollout
    parts = e_values(rollout)
    approval = rollout.approval
    return {
        "id": rollout.id,
        "kind": str(rollout.kind),
        "model": rollout.model,
        "candidate": rollout.candidate,
        "digest": rollout.digest,
        "stable": rollout.stable,
        "phase": str(rollout.phase),
        "since": rollout.phase_since,
        "final": rollout.final,
        "percent": rollout.percent,
        "cause": progress.cause,
        "message": progress.message,
        "e_value": combined(rollout.kind, parts),
        "e_values": parts,
        "aborts_at": 1.0 / rollout.terms.alpha,
        "requester": rollout.requester,
        "by": rollout.by,
        "started_at": rollout.started_at,
        "requires_approval": rollout.terms.require_approval,
        "approval": None if approval is None else asdict(approval),
    }


def report(
    progress: Progress, records: Iterable[Mapping[str, Any]], shadow: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Everything about a rollout.

    Args:
        progress: Progress of it.
        records: Records of the audit log about its model, newest first.
        shadow: Record of the shadow process.
    """
    rollout = progress.rollout
    evidence: dict[str, Any] = {"score_change": score_change(rollout)}
    if reason := labels_held(rollout):
        evidence["labels_held"] = reason
    if rollout.kind is Kind.SHADOW:
        evidence["agreement"] = agreement(rollout)
    return {
        **summary(progress),
        "terms": {**asdict(rollout.terms), "digest": terms_digest(rollout)},
        "deadline_at": rollout.deadline_at or None,
        "evidence": evidence,
        "steps": [
            {
                "percent": step.percent,
                "observed_seconds": step.observed_seconds,
                "settled": step.settled is not None,
                "stable": {**asdict(step.counts.stable), "bad": bad_requests(step.counts.stable)},
                "canary": {**asdict(step.counts.canary), "bad": bad_requests(step.counts.canary)},
                "pairs": asdict(step.counts.pairs),
            }
            for step in rollout.steps
        ],
        "comparison": _comparison(rollout),
        "segments": _segments(rollout),
        "timeline": list(_timeline(rollout, records)),
        "looks": {
            "parts": list(e_values(rollout)),
            "columns": ["at", "percent", "e_value", "e_values", "stable", "canary"],
            "rows": [one.to_list() for one in progress.history],
        },
        "shadow": shadow,
    }


def _segments(rollout: Rollout) -> list[dict[str, Any]]:
    """The counts of each segment, those with most evidence against the candidate first.

    ``score_change`` is of the segment alone: 1 is no evidence. Segments of which only scores are
    known come last.
    """
    counts = totals(step.segments for step in rollout.steps)
    changed = {one.name: one.value for one in score_changes(rollout)}
    found = {one.name: one.value for one in ranked(rollout, labels=labels_count(rollout))}
    return [
        {
            "segment": name,
            "e_value": found.get(name, 1.0),
            "score_change": changed.get(name, 1.0),
            **counts.get(name, SegmentCounts())._asdict(),
        }
        for name in {**found, **changed}
    ]


def _comparison(rollout: Rollout) -> dict[str, Any]:
    if rollout.kind is Kind.SHADOW:
        return {}
    return {
        kind: {
            "stable": one.stable,
            "canary": one.canary,
            "difference": _bounds(one.difference),
            "ratio": _bounds(one.ratio),
            "held": one.held,
        }
        for kind, one in results(rollout).items()
    }


def _bounds(interval: Interval | None) -> Sequence[float | None] | None:
    """Without infinity, which JSON does not have; ``None`` if there is no interval."""
    if interval is None:
        return None
    return [one if math.isfinite(one) else None for one in (interval.low, interval.high)]


def _timeline(rollout: Rollout, records: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """What moved it, oldest first."""
    for record in reversed(list(records)):
        about = record["evidence"].get("rollout")
        if isinstance(about, dict) and about.get("id") == rollout.id:
            yield {
                "time": record["time"],
                "action": record["action"],
                "actor": record["actor"],
                "reason": record["reason"],
                "phase": about["phase"],
                "percent": about["percent"],
                "e_value": about["e_value"],
            }
