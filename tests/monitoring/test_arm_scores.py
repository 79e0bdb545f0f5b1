"""Scores of arms, from samples to bins."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from penstock.monitoring.samples import segment_scores
from penstock.monitoring.samples.arm_scores import (
    BUCKET_SECONDS,
    FILE,
    KEEP_SECONDS,
    LEARN_SCORES,
    ArmScores,
    read_scores,
    read_segment_scores,
    scores_of,
)
from penstock.monitoring.samples.samples import BatchSample
from penstock.monitoring.samples.segment_scores import SEGMENT_BUCKET_SECONDS
from penstock.monitoring.segments.segment_rows import SegmentRows

#: A multiple of both spans.
START = 999_990.0


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


def by_country(scores, arm, countries, when=START):
    names = ["(other)", "(missing)", "CH", "DE"]
    rows = SegmentRows("country", names, np.array(countries))
    return sample(scores, arm, when, segments=(rows,))


def test_scores_of_segments_are_counted_in_fifths_of_all_scores(tmp_path):
    random, scores = np.random.default_rng(1), ArmScores(tmp_path)
    scores.take([sample(random.normal(size=LEARN_SCORES))])
    values = np.array([-9.0, 0.0, 9.0, 9.0])
    scores.take([by_country(values, "stable", [2, 2, 2, 3])])
    scores.take([by_country(values, "canary", [3, 3, 3, 3], START + SEGMENT_BUCKET_SECONDS)])
    scores.tick(START)
    found = read_segment_scores(tmp_path, "m", START - SEGMENT_BUCKET_SECONDS, math.inf)
    assert found == {
        ("1", "stable"): {"country=CH": (1, 0, 1, 0, 1), "country=DE": (0, 0, 0, 0, 1)},
        ("2", "canary"): {"country=DE": (1, 0, 1, 0, 2)},
    }
    later = read_segment_scores(tmp_path, "m", START + 1, math.inf)  # amid a span of stable's
    assert later.keys() == {("2", "canary")}
    scores.close()


@pytest.mark.parametrize("values", [[0.0, 1.0], [0.0, 1.0, 2.0], [0.0, 1.0, 2.0, 3.0, 4.0]])
def test_few_different_scores_have_a_fifth_each(tmp_path, values):
    scores = ArmScores(tmp_path)
    scores.take([sample(np.resize(values, LEARN_SCORES))])
    scores.take([by_country(np.array(values), "canary", [2] * len(values))])
    scores.tick(START)
    ((bins,),) = [one.values() for one in read_segment_scores(tmp_path, "m", 0, math.inf).values()]
    assert sorted(bins, reverse=True)[: len(values)] == [1] * len(values)
    scores.close()


def test_a_request_of_several_rows_is_in_the_segment_of_its_first(tmp_path):
    scores = ArmScores(tmp_path)
    scores.take([sample(np.arange(LEARN_SCORES))])
    rows = by_country(np.arange(4.0), "canary", [2, 3, 3, 2])
    facts = {"request_ids": [b"a", b"b"], "offsets": [0, 2, 4], "times": [START] * 2}
    scores.take([replace(rows, **facts)])
    scores.tick(START)
    found = read_segment_scores(tmp_path, "m", 0, math.inf)["2", "canary"]
    assert found == {"country=CH": (1, 0, 0, 0, 0), "country=DE": (1, 0, 0, 0, 0)}
    scores.close()


def test_a_full_table_of_segments_counts_no_more_until_it_is_pruned(tmp_path, monkeypatch):
    monkeypatch.setattr(segment_scores, "MOST_ROWS", 1)
    scores = ArmScores(tmp_path)
    scores.take([sample(np.arange(LEARN_SCORES))])
    scores.take([by_country(np.zeros(2), "canary", [2, 3])])
    scores.tick(START)
    assert read_segment_scores(tmp_path, "m", 0, math.inf)["2", "canary"].keys() == {"country=CH"}
    scores.tick(START + 2 * KEEP_SECONDS)
    scores.take([by_country(np.zeros(1), "canary", [3], START + 2 * KEEP_SECONDS)])
    scores.tick(START + 2 * KEEP_SECONDS)
    assert read_segment_scores(tmp_path, "m", 0, math.inf)["2", "canary"].keys() == {"country=DE"}
    scores.close()


def test_new_bins_forget_the_scores_of_segments_and_an_older_file_has_none(tmp_path):
    scores = ArmScores(tmp_path)
    scores.take([sample(np.arange(LEARN_SCORES))])
    scores.take([by_country(np.zeros(1), "stable", [2])])
    scores.tick(START)
    scores.take([sample(np.arange(LEARN_SCORES), version="2")])
    scores.tick(START)
    assert read_segment_scores(tmp_path, "m", 0, math.inf) == {}
    scores.close()
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute("DROP TABLE segment_scores")
    assert read_segment_scores(tmp_path, "m", 0, math.inf) == {}
    assert read_segment_scores(tmp_path / "nowhere", "m", 0, math.inf) == {}
