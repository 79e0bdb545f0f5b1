"""The metric of a version on held-out rows, and how far it is from another one's. Pure."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.monitoring.feedback.evaluator import Evaluator, Verdict
from penstock.monitoring.feedback.intervals import (
    FEWEST_RANKED,
    Estimate,
    Z,
    by_unit,
    count_units,
    mean,
)
from penstock.monitoring.feedback.label import class_name
from penstock.monitoring.feedback.outputs import CLASSIFICATION
from penstock.monitoring.feedback.performance import Labelled, figures_of, log_losses, pick
from penstock.monitoring.feedback.ranking import placements
from penstock.server.files.refusal import ModelRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.monitoring.feedback.intervals import Units
    from penstock.monitoring.feedback.options import FeedbackOptions
    from penstock.monitoring.feedback.outputs import Floats, Predictions

#: Labels that are named in an error.
_SHOWN: Final = 3
_OF_VERDICTS: Final = tuple(one.name for one in fields(Verdict) if one.name != "truth")


def labelled(
    predictions: Predictions, labels: Sequence[Any], units: Units, options: FeedbackOptions
) -> Labelled:
    """Held-out predictions with their labels, compared as the labels of live predictions are.

    Args:
        predictions: One for each label.
        labels: True values.
        units: Of each row; ``None`` where each is one by itself.
        options: ``[feedback]`` of the model.

    Raises:
        ModelRefused: A label is no class of the model, or no number where it gives numbers.
    """
    evaluator = Evaluator.of(options)
    evaluator.learn(predictions)
    classes = predictions.kind == CLASSIFICATION
    predicted = [class_name(one) if classes else one for one in predictions.values]
    scores = predictions.scores.tolist()
    verdicts = [
        evaluator.evaluate(predictions.kind, *one)
        for one in zip(predicted, scores, labels, strict=True)
    ]
    wrong = [label for label, one in zip(labels, verdicts, strict=True) if one.loss is None]
    if wrong:
        shown = ", ".join(map(repr, dict.fromkeys(map(str, wrong[:_SHOWN]))))
        what = "no classes of the model" if classes else "no numbers"
        raise ModelRefused(f"{len(wrong)} labels of held-out rows are {what}, such as {shown}")
    columns = {
        name: np.array(
            [math.nan if (one := getattr(v, name)) is None else one for v in verdicts], float
        )
        for name in _OF_VERDICTS
    }
    return Labelled(
        kind=predictions.kind,
        truth=[one.truth for one in verdicts],
        predicted=predicted,
        delays=np.zeros(len(verdicts)),
        units=units,
        largest_error=options.largest_error,
        **columns,
    )


def figure(rows: Labelled, metric: str) -> Estimate:
    """A metric of these rows.

    Raises:
        ModelRefused: The model gives nothing that it can be made of.
    """
    found = figures_of(rows).get(metric)
    if found is None:
        raise ModelRefused(
            f"{metric} cannot be made of the outputs: they are those of a {rows.kind}"
            + (", without probabilities of two classes" if rows.kind == CLASSIFICATION else "")
        )
    return found


def advantage(rows: Labelled, other: Labelled, metric: str) -> Estimate:
    """By how much a metric of these predictions is better than that of others for the same rows.

    The interval is that of paired data: a row that is hard for both says nothing. Of shares it is
    method 10 of R. Newcombe, "Improved confidence intervals for the difference between binomial
    proportions based on paired data" (1998); of areas that of DeLong, DeLong and Clarke-Pearson
    (1988); of mean losses that of the mean difference; a root mean square is linearised.

    Args:
        rows: Predictions of one version.
        other: Predictions of another version, row by row.
        metric: Name of the metric.
    """
    first, second = figure(rows, metric), figure(other, metric)
    if metric == "accuracy":
        return _of_shares(rows, other, first, second)
    if metric == "auc":
        return _of_areas(rows, other, first.value - second.value)
    if metric == "rmse":
        scale = [2 * one.value or 1.0 for one in (first, second)]
        losses = [one.loss**2 / by for one, by in zip((rows, other), scale, strict=True)]
        value = second.value - first.value
    else:
        losses, value = [_losses(one, metric) for one in (rows, other)], None
    gained = losses[1] - losses[0]
    found = mean(gained, rows.units, signed=True)
    assert found is not None
    shift = 0.0 if value is None else value - found.value
    ends = (None if one is None else one + shift for one in (found.low, found.high))
    return Estimate(found.value + shift, *ends)


def gap(rows: Labelled, chosen: Floats, metric: str) -> Estimate | None:
    """How far the metric of some rows is from that of all others, as an absolute difference.

    The interval is made of the two intervals (MOVER: G. Zou and A. Donner, 2008).

    Args:
        rows: All rows.
        chosen: True for those of the slice.
        metric: Name of the metric.

    Returns:
        ``None`` where the metric is not known of one side; without ends where an interval is not.
    """
    sides = [pick(rows, np.flatnonzero(one)) for one in (chosen, ~chosen.astype(bool))]
    found = [figures_of(_renumbered(one)).get(metric) for one in sides]
    if found[0] is None or found[1] is None:
        return None
    one, two = found[0], found[1]
    value = one.value - two.value
    if one.low is None or one.high is None or two.low is None or two.high is None:
        return Estimate(abs(value))
    low = value - math.hypot(one.value - one.low, two.high - two.value)
    high = value + math.hypot(one.high - one.value, two.value - two.low)
    ends = sorted((abs(low), abs(high)))
    return Estimate(abs(value), 0.0 if low <= 0 <= high else ends[0], ends[1])


def check_kind(rows: Labelled, metric: str) -> None:
    """Whether the metric fits the kind of the predictions.

    Raises:
        ModelRefused: It does not.
    """
    numbers = metric in {"mae", "rmse"}
    if numbers == (rows.kind == CLASSIFICATION):
        raise ModelRefused(f"{metric} is no metric of a {rows.kind}")


def _losses(rows: Labelled, metric: str) -> Floats:
    if metric == "log_loss":
        return log_losses(rows.true_score)
    return rows.brier if metric == "brier" else rows.loss


def _of_shares(rows: Labelled, other: Labelled, first: Estimate, second: Estimate) -> Estimate:
    value = first.value - second.value
    if not (rows.right != other.right).any():
        return Estimate(value, value, value)
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return Estimate(value)
    likeness = float(np.corrcoef(rows.right, other.right)[0, 1]) if _vary(rows, other) else 0.0
    parts = (
        (first.value - first.low, second.high - second.value),
        (first.high - first.value, second.value - second.low),
    )
    below, above = (math.sqrt(max(0.0, a * a - 2 * likeness * a * b + b * b)) for a, b in parts)
    return Estimate(value, max(-1.0, value - below), min(1.0, value + above))


def _vary(*each: Labelled) -> bool:
    return all(0 < one.right.mean() < 1 for one in each)


def _of_areas(rows: Labelled, other: Labelled, value: float) -> Estimate:
    known = ~np.isnan(rows.positive_score) & ~np.isnan(other.positive_score)
    positive = rows.positive[known]
    parts = [placements(one.positive_score[known], positive)[1] for one in (rows, other)]
    units = None if rows.units is None else rows.units[known]
    sums = by_unit(parts[0] - parts[1], units)
    error = math.sqrt(float((sums**2).sum()))
    fewest = min(
        count_units(None if units is None else units[kind], int(kind.sum()))
        for kind in (positive > 0, positive == 0)
    )
    if fewest < FEWEST_RANKED:
        return Estimate(value, *((value, value) if not error else (None, None)))
    return Estimate(value, value - Z * error, value + Z * error)


def _renumbered(rows: Labelled) -> Labelled:
    """The same with units numbered from 0: some have no row here."""
    if rows.units is None:
        return rows
    return replace(rows, units=np.unique(rows.units, return_inverse=True)[1])
