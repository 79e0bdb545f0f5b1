from __future__ import annotations

import numpy as np
import pytest

from penstock.monitoring.prediction_log.recent import LoggedRequest
from penstock.runtimes.contract import ModelExecutionError, Signature, TensorSpec
from penstock.server.control.api.rollback_check import INVALID, UNKNOWN, VALID, conclude
from penstock.server.rollout.tolerance import Tolerance
from penstock.server.shadow.replay import COMPUTE_SECONDS, _compute, drift


class Double:
    """y = 2 x; it fails above a limit, and answers NaN below zero."""

    signature = Signature(
        (TensorSpec("x", "FP32", (-1, 1)),),
        (TensorSpec("y", "FP32", (-1, 1)),),
        batch_axis=True,
    )

    def __init__(self, limit=np.inf):
        self.limit = limit

    def execute(self, inputs, outputs):
        if inputs[0].max() > self.limit:
            raise ModelExecutionError("it will not")
        return [np.where(inputs[0] < 0, np.float32(np.nan), inputs[0] * np.float32(2))]


def request(x, version=2, times=2.0):
    array = np.array([[x]], np.float32)
    return LoggedRequest(1000.0 + x, version, 1, {"x": array}, {"y": array * np.float32(times)})


def computed(model, requests, clock=lambda: 0.0):
    return _compute(model, requests, 2, Tolerance(), clock)


def report(**figures):
    made = {"requests": 200, "failed": 0, "invalid": 0, "errors": [], "note": ""}
    return {**made, **figures}


def test_failures_invalid_answers_and_those_that_differ_are_counted():
    asked = [request(x) for x in (1, 2, 3, 50)] + [request(4, times=3.0), request(-1)]
    asked.append(request(5, version=1, times=7.0))  # its own answer, long ago
    figures = computed(Double(limit=10), asked).figures
    assert figures["failed"] == 1
    assert figures["invalid"] == 1
    assert figures["compared"] == 5
    assert figures["differing"] == 2
    assert figures["errors"] == ["ModelExecutionError: it will not"]


def test_it_ends_in_time_with_what_there_is_by_then():
    times = iter(range(0, 100, 2))
    found = computed(Double(), [request(x) for x in range(40)], lambda: next(times))
    assert 0 < found.requests <= COMPUTE_SECONDS
    assert len(found.answers) == found.requests


@pytest.mark.parametrize(
    ("figures", "state", "words"),
    [
        ({}, VALID, "200 of 200"),
        ({"failed": 1, "invalid": 1}, VALID, "198 of 200"),
        ({"failed": 3, "errors": ["it will not"]}, INVALID, "fails at 3 of 200"),
        ({"invalid": 200}, INVALID, "200 with NaN"),
        ({"requests": 0, "note": "rows of 'x' are too large"}, UNKNOWN, "too large"),
        ({"requests": 0}, UNKNOWN, "no request of the last day"),
    ],
)
def test_only_a_version_that_surely_fails_is_not_valid(figures, state, words):
    found, reason = conclude(report(**figures))
    assert found == state
    assert words in reason


def outputs(values):
    return [{"y": np.asarray([[one]], np.float32)} for one in values]


def test_outputs_that_are_as_before_have_not_drifted_and_others_have():
    random = np.random.default_rng(1)
    before = outputs(random.normal(0.0, 1.0, 800))
    alarms = [
        drift(before, outputs(random.normal(0.0, 1.0, 256)))["drifted"] == ["y"] for _ in range(100)
    ]
    assert sum(alarms) <= 5
    moved = drift(before, outputs(random.normal(1.0, 1.0, 256)))
    assert moved == {"drifted": ["y"], "drift_note": ""}


def test_so_with_classes():
    random = np.random.default_rng(2)

    def labels(weights, size):
        drawn = random.choice([b"cat", b"dog", b"eel"], size, p=weights)
        return [{"label": np.array([one], object)} for one in drawn.tolist()]

    before = labels([0.6, 0.3, 0.1], 800)
    assert drift(before, labels([0.6, 0.3, 0.1], 200))["drifted"] == []
    assert drift(before, labels([0.1, 0.3, 0.6], 200))["drifted"] == ["label"]


def test_with_few_answers_nothing_is_said_of_drift():
    found = drift(outputs(range(10)), outputs(range(200)))
    assert found["drifted"] is None
    assert "fewer than 50 rows" in found["drift_note"]
