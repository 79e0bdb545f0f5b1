"""The interval of an advantage holds as often as it says, on rows that both find hard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penstock.monitoring.feedback.performance import Labelled
from penstock.server.gates.evaluation import advantage, gap

TRIALS = 200


def answers(labels: Any, scores: Any, units: Any = None) -> Labelled:
    """Predictions of two classes with these probabilities of class 1."""
    predicted = (scores > 0.5).astype(float)
    right = (predicted == labels).astype(float)
    return Labelled(
        kind="classification",
        truth=labels.tolist(),
        predicted=predicted.tolist(),
        right=right,
        loss=1 - right,
        confidence=np.maximum(scores, 1 - scores),
        true_score=np.where(labels > 0, scores, 1 - scores),
        brier=(scores - labels) ** 2,
        positive_score=scores,
        positive=labels.astype(float),
        delays=np.zeros(len(labels)),
        units=units,
    )


def sigmoid(values: Any) -> Any:
    return 1 / (1 + np.exp(-values))


def pair(dice: Any, rows: int, per_unit: int = 1) -> tuple[Labelled, Labelled]:
    """Two models that see the same signal, each with noise of its own."""
    count = rows // per_unit
    signal = np.repeat(dice.normal(0, 1.5, count), per_unit)
    labels = (dice.random(rows) < sigmoid(2 * signal)).astype(int)
    first, second = (
        sigmoid(2 * signal + np.repeat(dice.normal(0, noise, count), per_unit))
        for noise in (0.5, 1.5)
    )
    units = np.repeat(np.arange(count), per_unit) if per_unit > 1 else None
    return answers(labels, first, units), answers(labels, second, units)


@pytest.mark.parametrize("metric", ["accuracy", "auc", "log_loss", "brier"])
@pytest.mark.parametrize(("rows", "per_unit"), [(800, 1), (3000, 3)])
def test_the_interval_of_an_advantage_holds(metric: str, rows: int, per_unit: int) -> None:
    dice = np.random.default_rng(11)
    large = pair(dice, 200_000)
    truth = advantage(*large, metric).value
    found = [advantage(*pair(dice, rows, per_unit), metric) for _ in range(TRIALS)]
    stated = [one for one in found if one.low is not None and one.high is not None]
    held = sum(one.low <= truth <= one.high for one in stated)  # type: ignore[operator]
    assert len(stated) > TRIALS / 2
    assert held / len(stated) >= 0.92, (held, len(stated))


def test_a_gap_is_seen_from_both_sides() -> None:
    dice = np.random.default_rng(3)
    rows, _ = pair(dice, 4000)
    chosen = np.arange(4000) % 2 == 0
    one, other = gap(rows, chosen, "accuracy"), gap(rows, ~chosen, "accuracy")
    assert one is not None
    assert other is not None
    assert one.value == pytest.approx(other.value)
    assert one.high == pytest.approx(other.high)
    assert gap(rows, np.zeros(4000, bool), "accuracy") is None
