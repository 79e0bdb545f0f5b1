"""Labels meet predictions: late, early, repeated, corrected, unknown; as pandas joins them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

from penstock.monitoring.feedback.evidence import arm_labels
from penstock.monitoring.feedback.label import Label
from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.feedback.report import Span, performance
from penstock.monitoring.feedback.schema import FEEDBACK_FILE, open_to_write
from penstock.monitoring.feedback.store import PARKED_SECONDS

NOW = 1_700_000_000.0
ALL = Span(NOW - 1e6, NOW + 1e6, 86_400.0)


def joined(directory):
    connection = sqlite3.connect(directory / "truth.db")
    frame = pd.read_sql(
        "SELECT request_id, idx, label, predicted, version, arm FROM labels"
        " JOIN slots ON slots.id = labels.slot ORDER BY request_id, idx",
        connection,
    )
    connection.close()
    return frame


def figures(directory):
    return {
        (one["version"], one["arm"]): (
            one["labels"],
            one["figures"]["accuracy"]["value"] if one["labels"] else None,
        )
        for one in performance(directory, "m", ALL)["versions"]
    }


def test_late_repeated_corrected_and_unknown_labels_join_as_in_pandas(keep, batch, tmp_path):
    rng = np.random.default_rng(7)
    count, labelled, size = 200_000, 40_000, 5000
    classes = rng.integers(0, 3, count)
    versions = rng.integers(1, 3, count // size).repeat(size)
    ids = [f"{number:x}" for number in range(count)]
    store = keep()
    chosen = rng.choice(count + count // 10, labelled)  # repeats, and a tenth of them unknown
    labels = pd.DataFrame(
        {
            "id": [f"{one:x}" for one in chosen],
            "label": rng.integers(0, 3, labelled),
            "time": NOW + rng.integers(0, 1000, labelled),
            "number": range(labelled),
        }
    )
    sent = [Label(one.id, one.label, float(one.time)) for one in labels.itertuples()]
    for place in range(0, count, size):
        rows = slice(place, place + size)
        outputs = {"label": classes[rows]}
        version = str(versions[place])
        store.take([batch(ids[rows], outputs, version=version, time=NOW + place / 1e4)])
        if place % 10_000 == 0:
            store.tick(NOW + place / 1e4)
        if place == count // 2:  # half of the labels come now: many before their predictions
            for first in range(0, labelled // 2, 2000):
                store.feedback(sent[first : first + 2000], NOW + 50)
    store.tick(NOW + 100)
    for first in range(labelled // 2, labelled, 2000):
        store.feedback(sent[first : first + 2000], NOW + 200)
    store.tick(NOW + 300)

    predictions = pd.DataFrame({"id": ids, "predicted": classes, "version": versions})
    newest = labels.sort_values(["time", "number"]).drop_duplicates("id", keep="last")
    expected = newest.merge(predictions, on="id").sort_values("id")
    found = joined(tmp_path)
    assert len(expected) > 30_000
    assert found["request_id"].tolist() == expected["id"].tolist()
    assert found["label"].tolist() == expected["label"].tolist()
    assert found["predicted"].astype(int).tolist() == expected["predicted"].tolist()
    assert found["version"].astype(int).tolist() == expected["version"].tolist()
    right = expected["label"] == expected["predicted"]
    told = figures(tmp_path)
    for version, part in right.groupby(expected["version"]):
        assert told[str(version), ""] == (len(part), pytest.approx(part.mean()))
    unknown = labels["id"].nunique() - len(expected)
    assert len(store._parked) == unknown
    store.tick(NOW + 300 + PARKED_SECONDS)
    counted = performance(tmp_path, "m", ALL)["feedback"]
    assert counted["unknown"] == unknown
    assert counted["new"] == labels["id"].nunique()
    assert (
        counted["new"] + sum(counted.get(k, 0) for k in ("duplicate", "corrected", "outdated"))
        == labelled
    )


def test_a_label_that_comes_before_its_prediction_waits_for_it(keep, batch, tmp_path):
    store = keep()
    store.feedback([Label("a", 1, NOW)], NOW)
    assert figures(tmp_path) == {}
    store.take([batch(["a"], {"label": [1]})])
    store.tick(NOW + 1)
    store.tick(NOW + 20)
    assert figures(tmp_path) == {("1", ""): (1, 1.0)}


def test_a_correction_counts_once_and_leaves_a_trace(keep, batch, tmp_path):
    store = keep(FeedbackOptions(reference_days=0))
    store.take([batch(["a"], {"label": [1]})])
    store.tick(NOW)
    for label, moment in ((0, NOW), (1, NOW + 1), (0, NOW - 5), (1, NOW + 9)):
        store.feedback([Label("a", label, moment)], NOW + 10)
    assert figures(tmp_path) == {("1", ""): (1, 1.0)}
    counted = performance(tmp_path, "m", ALL)["feedback"]
    assert counted == {"new": 1, "corrected": 1, "outdated": 1, "duplicate": 1}
    connection = sqlite3.connect(tmp_path / "truth.db")
    assert connection.execute("SELECT label FROM history ORDER BY received").fetchall() == [
        (0,),
        (0,),
    ]
    connection.close()
    # One label votes in the test for change, not two, beside those of others.
    others = [f"o{n}" for n in range(59)]
    store.take([batch(others, {"label": [1] * len(others)})])
    store.tick(NOW + 20)
    store.feedback([Label(one, 1, NOW) for one in others], NOW + 30)
    store.tick(NOW + 100)
    assert performance(tmp_path, "m", ALL)["versions"][0]["change"]["labels"] == 60


def test_rows_of_one_request_have_labels_of_their_own(keep, batch, tmp_path):
    store = keep()
    store.take([batch(["a", "b"], {"label": [1, 0, 2, 1]}, offsets=[0, 3, 4])])
    store.tick(NOW)
    labels = [Label("a", one, NOW, index) for index, one in enumerate((1, 1, 2))]
    store.feedback([*labels, Label("b", 1, NOW), Label("b", 1, NOW, 1)], NOW)
    assert figures(tmp_path) == {("1", ""): (4, 0.75)}


def test_a_keeper_that_was_killed_goes_on_with_what_it_has_committed(keep, batch, tmp_path):
    store = keep(FeedbackOptions(reference_days=0))
    store.take([batch([f"r{n}" for n in range(100)], {"label": [1] * 100})])
    store.tick(NOW)
    store.feedback([Label(f"r{n}", 1, NOW) for n in range(150)], NOW)
    again = keep(FeedbackOptions(reference_days=0))  # the first one was never closed
    assert len(again._parked) == 50
    again.take([batch([f"r{n}" for n in range(100, 150)], {"label": [0] * 50})])
    again.tick(NOW + 20)
    assert figures(tmp_path) == {("1", ""): (150, pytest.approx(2 / 3))}
    assert performance(tmp_path, "m", ALL)["versions"][0]["change"]["labels"] == 150


def test_a_keeper_that_was_killed_has_counted_all_but_the_last_second(keep, batch, tmp_path):
    store = keep()
    for second in range(3):
        store.take([batch([f"r{second}"], {"label": [1]})])
        store.tick(NOW + second)
    keep()  # the first one was never closed
    assert performance(tmp_path, "m", ALL)["versions"][0]["predictions"] == 3


def test_predictions_and_labels_are_bounded(keep, batch, tmp_path):
    store = keep(max_rows=2000)
    for second in range(10):
        ids = [f"{second}-{n}" for n in range(500)]
        store.take([batch(ids, {"label": [1] * 500}, time=NOW + second)])
        store.tick(NOW + second)
        store.feedback([Label(one, 1, NOW) for one in ids], NOW + second)
    store.tick(NOW + 1000)
    assert store._recent.rows <= 2000
    assert figures(tmp_path)["1", ""][0] == 2000
    store.tick(NOW + 91 * 86_400)
    assert store._recent.rows == 0
    assert not list((tmp_path / "recent").glob("*.segment"))


def test_a_segment_that_was_cut_short_is_forgotten(keep, batch, tmp_path):
    store = keep()
    store.take([batch(["a"], {"label": [1]})])
    store.tick(NOW)
    (path,) = (tmp_path / "recent").glob("*.segment")
    path.write_bytes(path.read_bytes()[:-3])
    again = keep()
    again.feedback([Label("a", 1, NOW)], NOW)
    assert figures(tmp_path) == {("1", ""): (0, None)}


def test_arms_of_a_rollout_count_only_what_was_shared_out(keep, batch, tmp_path):
    store = keep()
    store.take([batch([f"s{n}" for n in range(10)], {"label": [1] * 10}, arm="stable")])
    store.take(
        [batch([f"c{n}" for n in range(10)], {"label": [0] * 10}, arm="canary", version="2")]
    )
    store.take([batch([f"n{n}" for n in range(10)], {"label": [0] * 10}, version="2")])
    store.tick(NOW)
    store.feedback([Label(f"{arm}{n}", 1, NOW) for arm in "scn" for n in range(10)], NOW)
    store.feedback([Label("c3", 0, NOW + 1, 0, "expert")], NOW)
    assert arm_labels(tmp_path, "m", NOW - 1) == {
        ("1", "stable"): (10, 0),
        ("2", "canary"): (10, 9),
    }
    assert arm_labels(tmp_path, "m", NOW + 1) == {("1", "stable"): (0, 0), ("2", "canary"): (0, 0)}
    assert arm_labels(tmp_path / "nowhere", "m", 0.0) == {}


def test_a_label_that_is_joined_when_the_monitor_ends_is_not_dated_1970(tmp_path, keep, batch):
    store = keep()
    store.feedback([Label("a", 1, NOW)], NOW)
    store.take([batch(["a"], {"y": np.array([1])}, time=NOW + 1)])
    store.close()
    with closing(open_to_write(tmp_path / FEEDBACK_FILE)) as database:
        state = json.loads(database.execute("SELECT state FROM judges").fetchone()[0])
        joined = database.execute("SELECT predicted_at FROM labels").fetchone()[0]
    assert joined == NOW + 1
    assert state["detector"]["first_time"] == 0.0  # it has not voted yet
