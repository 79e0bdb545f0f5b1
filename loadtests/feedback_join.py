"""A million predictions and two hundred thousand labels, joined by the server and by pandas.

    python -m penstock.loadtests.feedback_join [PREDICTIONS] [LABELS]

Half of the labels come when half of the predictions are there, so that many wait for theirs; a
tenth is of ids that never were, and ids repeat. Prints a table; exit status 1 if the joins differ.
Needs pandas.
"""

from __future__ import annotations

import resource
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np

from penstock.monitoring.feedback.label import Label
from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.feedback.store import FeedbackStore
from penstock.monitoring.samples.samples import BatchSample

_NOW: Final = 1_700_000_000.0
_BATCH: Final = 1000
_BODY: Final = 5000
_CLASSES: Final = 3


def main(predictions: int = 1_000_000, labels: int = 200_000) -> int:
    """Join, compare, print; returns the exit status."""
    rng = np.random.default_rng(7)
    classes = rng.integers(0, _CLASSES, predictions)
    raw = rng.random((predictions, _CLASSES), np.float32)
    scores = raw / raw.sum(axis=1, keepdims=True)
    chosen = rng.integers(0, predictions + predictions // 10, labels)
    truths = rng.integers(0, _CLASSES, labels)
    moments = _NOW + rng.integers(0, 1000, labels)
    sent = [
        Label(f"{one:x}", int(truth), float(moment))
        for one, truth, moment in zip(chosen.tolist(), truths, moments, strict=True)
    ]
    spent = {"take": 0.0, "tick": 0.0, "feedback": 0.0}
    with tempfile.TemporaryDirectory() as name:
        store = FeedbackStore(
            Path(name), lambda *_: FeedbackOptions(), lambda *_: None, 5_000_000, 90
        )

        def timed(what: str, call: Any, *arguments: Any) -> None:
            start = time.perf_counter()
            call(*arguments)
            spent[what] += time.perf_counter() - start

        def hand_over(some: list[Label]) -> None:
            for first in range(0, len(some), _BODY):
                timed("feedback", store.feedback, some[first : first + _BODY], _NOW)

        for place in range(0, predictions, _BATCH):
            timed("take", store.take, [_batch(place, classes, scores)])
            if place % (20 * _BATCH) == 0:  # a second at 20,000 a second
                timed("tick", store.tick, _NOW + place / 20_000)
            if place == predictions // 2:
                hand_over(sent[: labels // 2])
        timed("tick", store.tick, _NOW + predictions)
        hand_over(sent[labels // 2 :])
        store.close()
        with closing(sqlite3.connect(Path(name) / "truth.db")) as database:
            query = "SELECT request_id, label, predicted FROM labels WHERE slot IS NOT NULL"
            joined = {row[0]: (row[1], int(row[2])) for row in database.execute(query)}
    expected = _by_pandas(chosen, truths, moments, classes)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{predictions} predictions, {labels} labels, {len(expected)} joined")
    print(f"a prediction   {(spent['take'] + spent['tick']) / predictions * 1e6:.2f} µs")
    print(f"a label        {spent['feedback'] / labels * 1e6:.1f} µs")
    print(f"all of it      {sum(spent.values()):.1f} s, {memory} MiB with the data of this test")
    print("equal to pandas" if joined == expected else "DIFFERS from pandas")
    return int(joined != expected)


def _batch(place: int, classes: Any, scores: Any) -> BatchSample:
    rows = slice(place, place + _BATCH)
    moment = _NOW + place / 20_000
    return BatchSample(
        model="m",
        version="1",
        time=moment,
        request_ids=[b"%x" % one for one in range(place, place + _BATCH)],
        offsets=list(range(_BATCH + 1)),
        statuses=[200] * _BATCH,
        latencies=[0.001] * _BATCH,
        input_names=(),
        inputs=[],
        output_names=("label", "probabilities"),
        outputs=[classes[rows], scores[rows]],
        times=[moment] * _BATCH,
    )


def _by_pandas(chosen: Any, truths: Any, moments: Any, classes: Any) -> dict[str, tuple[int, int]]:
    import pandas as pd  # of the tests only

    labels = pd.DataFrame({"id": chosen, "label": truths, "time": moments})
    newest = labels.sort_values("time", kind="stable").drop_duplicates("id", keep="last")
    predictions = pd.DataFrame({"id": range(len(classes)), "predicted": classes})
    joined = newest.merge(predictions, on="id")
    ids = (f"{one:x}" for one in joined["id"])
    return dict(zip(ids, zip(joined["label"], joined["predicted"], strict=True), strict=True))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
