"""Scores of arms, from samples to bins."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from penstock.monitoring.samples.arm_scores import (
    BUCKET_SECONDS,
    FILE,
    LEARN_SCORES,
    ArmScores,
    read_scores,
    scores_of,
)
from penstock.monitoring.samples.samples import BatchSample

START = 1_000_000.0


def sample(scores, arm="stable", when=START, **fields):
    rows = len(scores)
    facts = {
        "model": "m",
        "version": "1" if arm == "stable" else "2",
        "time": when,
        "request_ids": [b"%d" % n for n in range(rows)],
        "offsets": list(range(rows + 1)),
        "statuses": [200] * rows,
        "latencies": [0.001] * rows,
        "input_names": ("x",),
        "inputs": [None],
        "output_names": ("y",),
        "outputs": [np.asarray(scores, np.float32)],
        "times": [when] * rows,
        "arm": arm,
    }
    return BatchSample(**{**facts, **fields})


def test_stables_first_scores_make_the_bins_and_all_are_counted(tmp_path):
    random, scores = np.random.default_rng(1), ArmScores(tmp_path)
    scores.take([sample(random.normal(size=LEARN_SCORES))])
    scores.take([sample(random.normal(size=10_000)), sample(np.full(50, 9.0), "canary")])
    scores.take([sample([1.0], "")])  # without a rollout
    scores.tick(START)
    found = read_scores(tmp_path, "m", START, math.inf)
    assert found.keys() == {("1", "stable"), ("2", "canary")}
    assert len([count for count in found["1", "stable"].values() if count > 50]) == 10
    assert sum(found["1", "stable"].values()) == 10_000 + LEARN_SCORES
    assert list(found["2", "canary"].values()) == [50]
    scores.close()


def test_only_whole_spans_between_two_times_count_and_a_restart_keeps_the_bins(tmp_path):
    scores = ArmScores(tmp_path)
    scores.take([sample(np.arange(LEARN_SCORES), when=START)])
    scores.close()
    scores = ArmScores(tmp_path)
    for number in range(4):
        scores.take([sample([1.0] * (number + 1), "canary", START + number * BUCKET_SECONDS)])
    scores.tick(START)
    until = START + 3 * BUCKET_SECONDS + 1
    found = read_scores(tmp_path, "m", START + 1, until)
    assert sum(found["2", "canary"].values()) == 2 + 3
    scores.close()
    (tmp_path / "empty").mkdir()
    assert read_scores(tmp_path / "empty", "m", 0.0, math.inf) == {}


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (np.array([[0.2, 0.8], [0.9, 0.1]], np.float32), [0.8, 0.1]),
        (np.array([3, 4], np.int64), [3.0, 4.0]),
        (np.array([b"a", b"b"], object), None),
    ],
)
def test_a_score_is_the_last_number_of_the_first_row(output, expected):
    found = scores_of(sample([0.0, 0.0], outputs=[None, output]))
    assert (found is None) if expected is None else np.allclose(found, expected)


def test_a_write_that_fails_leaves_nothing_half_done(tmp_path):
    scores = ArmScores(tmp_path)
    scores.take([sample(np.arange(LEARN_SCORES, dtype=float))])
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute(
            "CREATE TRIGGER no BEFORE INSERT ON scores BEGIN SELECT RAISE(FAIL, 'no'); END"
        )
        scores.take([sample([1.0] * 5)])
        with pytest.raises(sqlite3.Error, match="no"):
            scores.tick(START)
        other.execute("DROP TRIGGER no")
    scores.take([sample([1.0] * 7)])
    scores.tick(START)
    assert sum(read_scores(tmp_path, "m", START, math.inf)["1", "stable"].values()) == 7
    scores.close()
