"""The gates of held-out rows: the metric, the comparison with what serves, and slices."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.server.config.gates_options import ASCENDING
from penstock.server.files.refusal import ModelRefused

from .evaluation import advantage, check_kind, figure, gap, labelled
from .gate_report import GateResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.monitoring.feedback.intervals import Estimate
    from penstock.monitoring.feedback.options import FeedbackOptions
    from penstock.monitoring.feedback.performance import Labelled
    from penstock.server.config.gates_options import EvaluationOptions

    from .heldout import HeldOut
    from .subject import Subject

EVALUATION: Final = "evaluation"
COMPARISON: Final = "comparison"
SLICES: Final = "slices"
#: Values of a column that are slices of their own, the commonest; the rest of the rows is no slice.
MOST_SLICES: Final = 50
#: Rows of a slice that is compared at all.
FEWEST_ROWS: Final = 20


def evaluation_gates(
    heldout: HeldOut,
    subject: Subject,
    incumbent: Subject | None,
    options: EvaluationOptions,
    feedback: FeedbackOptions,
) -> Iterator[GateResult]:
    """The results of the gates of held-out rows.

    Args:
        heldout: The rows.
        subject: The version.
        incumbent: The version that serves; ``None`` if none does.
        options: What is asked.
        feedback: ``[feedback]`` of the model.

    Raises:
        ModelRefused: The version does not answer the rows, or not with what the metric is made of.
    """
    rows = _answered(heldout, subject, options.metric, feedback)
    if options.least is not None or options.most is not None:
        yield _level(figure(rows, options.metric), options)
    if options.margin is not None:
        yield _comparison(heldout, rows, incumbent, options, feedback)
    if options.largest_gap is not None:
        yield _slices(heldout, rows, options)


def _answered(
    heldout: HeldOut, subject: Subject, metric: str, feedback: FeedbackOptions
) -> Labelled:
    outputs = subject.run(subject.inputs_of(heldout))
    predictions = subject.predictions(outputs, feedback)
    rows = labelled(predictions, heldout.labels, heldout.units, feedback)
    check_kind(rows, metric)
    return rows


def _level(found: Estimate, options: EvaluationOptions) -> GateResult:
    if options.metric in ASCENDING:
        bound, word = options.least, "at least"
        assert bound is not None
        verdict = at_least(found, bound)
    else:
        bound, word = options.most, "at most"
        assert bound is not None
        verdict = at_most(found, bound)
    reason = f"{options.metric} is {told(found)}, expected {word} {bound:g}"
    return GateResult(EVALUATION, verdict, reason, _figures(found, bound))


def _comparison(
    heldout: HeldOut,
    rows: Labelled,
    incumbent: Subject | None,
    options: EvaluationOptions,
    feedback: FeedbackOptions,
) -> GateResult:
    assert options.margin is not None
    if incumbent is None:
        return GateResult(
            COMPARISON, Verdict.PASSED, "no version serves that it could be worse than"
        )
    try:
        other = _answered(heldout, incumbent, options.metric, feedback)
    except ModelRefused as refusal:
        reason = f"version {incumbent.version}, which serves, cannot be compared: {refusal}"
        return GateResult(COMPARISON, Verdict.TOO_LITTLE, reason)
    found = advantage(rows, other, options.metric)
    reason = (
        f"{options.metric} is better by {told(found)} than that of version {incumbent.version}, "
        f"which serves; expected at least {options.margin:g}"
    )
    figures = {
        **_figures(found, options.margin),
        "version": asdict(figure(rows, options.metric)),
        "incumbent": asdict(figure(other, options.metric)),
    }
    return GateResult(COMPARISON, at_least(found, options.margin), reason, figures)


def _slices(heldout: HeldOut, rows: Labelled, options: EvaluationOptions) -> GateResult:
    assert options.largest_gap is not None
    found: dict[str, Any] = {}
    verdicts: dict[str, Verdict] = {}
    for column, values in heldout.slices.items():
        every = np.array(values, object)
        for value, count in Counter(values).most_common(MOST_SLICES):
            name = f"{column} = {value}"
            one = gap(rows, every == value, options.metric) if count >= FEWEST_ROWS else None
            if count == len(values):
                continue
            if one is None:
                verdicts[name] = Verdict.TOO_LITTLE
                found[name] = {"rows": count}
            else:
                verdicts[name] = at_most(one, options.largest_gap)
                found[name] = {"rows": count, **asdict(one)}
    worst = _worst(verdicts)
    named = [name for name, one in verdicts.items() if one is worst]
    largest = sorted(named, key=lambda name: -found[name].get("value", 0.0))[:3]
    shown = ", ".join(f"{name} ({_gap_of(found[name])})" for name in largest)
    limit = f"a slice may be {options.largest_gap:g} apart from all other rows"
    reason = f"{limit}; {worst}: {shown}" if shown else f"{limit}; there is one slice only"
    return GateResult(SLICES, worst, reason, {"slices": found, "expected": options.largest_gap})


def _gap_of(found: dict[str, Any]) -> str:
    if "value" not in found:
        return f"{found['rows']} rows"
    high = "" if found["high"] is None else f", up to {found['high']:.4g}"
    return f"{found['value']:.4g}{high}, {found['rows']} rows"


def _worst(verdicts: dict[str, Verdict]) -> Verdict:
    for one in (Verdict.FAILED, Verdict.TOO_LITTLE):
        if one in verdicts.values():
            return one
    return Verdict.PASSED


def at_least(found: Estimate, bound: float) -> Verdict:
    """Whether a figure reaches a bound: its whole interval, or it is not known."""
    if found.value < bound:
        return Verdict.FAILED
    return Verdict.PASSED if found.low is not None and found.low >= bound else Verdict.TOO_LITTLE


def at_most(found: Estimate, bound: float) -> Verdict:
    """Whether a figure stays below a bound: its whole interval, or it is not known."""
    if found.value > bound:
        return Verdict.FAILED
    return Verdict.PASSED if found.high is not None and found.high <= bound else Verdict.TOO_LITTLE


def told(found: Estimate) -> str:
    """A figure with its interval, for people."""
    if found.low is None or found.high is None:
        return f"{found.value:.4g} (too few rows for an interval)"
    return f"{found.value:.4g} ({found.low:.4g} to {found.high:.4g})"


def _figures(found: Estimate, bound: float) -> dict[str, Any]:
    return {**asdict(found), "expected": bound}
