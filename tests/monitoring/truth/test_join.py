"""Labels meet their predictions: late, early, repeated, corrected, unknown; as pandas joins them."""

from __future__ import annotations

import sqlite3

import numpy as np
import pandas as pd
import pytest

from penstock.monitoring.truth.evidence import arm_labels
from penstock.monitoring.truth.keeper import PARKED_SECONDS
from penstock.monitoring.truth.label import Label
from penstock.monitoring.truth.report import Span, performance

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


def test_a_million_predictions_and_late_repeated_and_unknown_labels_join_as_in_pandas(
    keep, batch, tmp_path
):
    rng = np.random.default_rng(7)
    count, labelled, size = 1_000_000, 200_000, 5000
    classes = rng.integers(0, 3, count)
    versions = rng.integers(1, 3, count // size).repeat(size)
    ids = [f"{number:x}" for number in range(count)]
    keeper = keep()
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
        keeper.take([batch(ids[rows], outputs, version=version, time=NOW + place / 1e4)])
        if place % 50_000 == 0:
            keeper.tick(NOW + place / 1e4)
        if place == count // 2:  # half of the labels come now: many before their predictions
            for first in range(0, labelled // 2, 10_000):
                keeper.feedback(sent[first : first + 10_000], NOW + 50)
    keeper.tick(NOW + 100)
    for first in range(labelled // 2, labelled, 10_000):
        keeper.feedback(sent[first : first + 10_000], NOW + 200)
    keeper.tick(NOW + 300)

    predictions = pd.DataFrame({"id": ids, "predicted": classes, "version": versions})
    newest = labels.sort_values(["time", "number"]).drop_duplicates("id", keep="last")
    expected = newest.merge(predictions, on="id").sort_values("id")
    found = joined(tmp_path)
    assert len(expected) > 150_000
    assert found["request_id"].tolist() == expected["id"].tolist()
    assert found["label"].tolist() == expected["label"].tolist()
    assert found["predicted"].astype(int).tolist() == expected["predicted"].tolist()
    assert found["version"].astype(int).tolist() == expected["version"].tolist()
    right = expected["label"] == expected["predicted"]
    told = figures(tmp_path)
    for version, part in right.groupby(expected["version"]):
        assert told[str(version), ""] == (len(part), pytest.approx(part.mean()))
    unknown = labels["id"].nunique() - len(expected)
    assert len(keeper._parked) == unknown
    keeper.tick(NOW + 300 + PARKED_SECONDS)
    counted = performance(tmp_path, "m", ALL)["feedback"]
    assert counted["unknown"] == unknown
    assert counted["new"] == labels["id"].nunique()
    assert (
        counted["new"] + sum(counted.get(k, 0) for k in ("duplicate", "corrected", "outdated"))
        == labelled
    )
