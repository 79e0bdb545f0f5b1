"""Labelled rows out of the log, from days that are SQLite still and days that are sealed."""

from __future__ import annotations

import csv
import shutil
from contextlib import closing

import duckdb
import numpy as np
import pytest

from penstock.monitoring.feedback.export import ExportFailed, LabelledExport
from penstock.monitoring.feedback.label import Label
from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.feedback.store import FeedbackStore
from penstock.monitoring.metrics.metrics import CounterFile
from penstock.monitoring.prediction_log.prediction_log import PredictionLog
from penstock.monitoring.prediction_log.seal import seal
from penstock.monitoring.prediction_log.tally import Tally
from penstock.monitoring.samples.books import BooksFile
from penstock.monitoring.samples.received_frames import ReceivedFrames
from penstock.monitoring.samples.samples import BatchSample

NOON = 1_700_049_600.0  # 2023-11-15 12:00 UTC
DAY = 86_400.0
MODEL = "a/b"  # as a directory it is quoted


def sample(day):
    moment = NOON + day * DAY
    return BatchSample(
        model=MODEL, version="3", time=moment, request_ids=[b"d%d" % day], offsets=[0, 3],
        statuses=[200], latencies=[0.1], input_names=("x", "word"),
        inputs=[
            np.full((3, 2), float(day), np.float32),
            np.array([b"u", b"v", b"w"], object).reshape(3, 1),
        ],
        output_names=("y",), outputs=[np.array([0, 1, 0])], times=[moment],
    )  # fmt: skip


@pytest.fixture
def state(tmp_path):
    """Three days of one request each; the first is sealed, and each has a label."""
    state, clock, received_frames = tmp_path / "monitor", [NOON], ReceivedFrames()
    state.mkdir()
    counters = CounterFile.anonymous("monitor")
    tally = Tally(counters, {}, BooksFile(state.with_name("books.msgpack")))
    log = PredictionLog(state, "epoch", tally, 1 << 30, 30, lambda: clock[0], lambda *_: "sha256:d")
    received_frames.restore(log.restore())
    store = FeedbackStore(state, lambda *_: FeedbackOptions(), lambda *_: None, 10_000, 30.0)
    for day in range(3):
        clock[0] = NOON + day * DAY
        log.append([sample(day)], {(MODEL, "3"): 3})
        received_frames.receive("worker-0.1.1", day + 1, {(MODEL, "3"): 3})
        log.commit(received_frames, clock[0] + 1)
        store.take([sample(day)])
        store.tick(clock[0])
        store.feedback([Label(f"d{day}", 1, clock[0], day)], clock[0])
    log.close()
    store.close()
    shutil.copy(state / "log" / "predictions-2023-11-15.db", tmp_path / "kept.db")
    assert seal(state, "2023-11-15", 1 << 30) == 3
    return state


def test_sealed_days_are_exported_like_the_others(state, tmp_path):
    output = tmp_path / "train.parquet"
    assert LabelledExport(state, MODEL, 0.0).write_parquet(output) == 3
    with closing(duckdb.connect()) as database:
        found = database.execute(
            "SELECT request_id, row, x_0, word, y, predicted, label, version, fraction "
            "FROM read_parquet(?) ORDER BY request_id",
            [str(output)],
        ).fetchall()
        names = [one[0] for one in database.execute(
            "DESCRIBE SELECT * FROM read_parquet(?)", [str(output)]).fetchall()]  # fmt: skip
    assert found == [
        ("d0", 0, 0.0, "u", 0, "0", 1, 3, 1.0),
        ("d1", 1, 1.0, "v", 1, "1", 1, 3, 1.0),
        ("d2", 2, 2.0, "w", 0, "0", 1, 3, 1.0),
    ]
    assert not {"dt", "log_model"} & set(names)


def test_a_day_that_is_both_is_exported_once(state, tmp_path):
    """As between the writing of the Parquet file and the removal of the day file."""
    shutil.copy(tmp_path / "kept.db", state / "log" / "predictions-2023-11-15.db")
    output = tmp_path / "train.csv"
    assert LabelledExport(state, MODEL, 0.0).write_csv(output) == 3
    with output.open() as file:
        assert sorted(row["x_1"] for row in csv.DictReader(file)) == ["0.0", "1.0", "2.0"]


def test_old_labels_are_left_out_and_none_are_an_error(state):
    assert len(list(LabelledExport(state, MODEL, NOON + 1.5 * DAY).rows())) == 1
    with pytest.raises(ExportFailed, match="no labels of 'other'"):
        LabelledExport(state, "other", 0.0)


def test_rows_of_a_damaged_day_are_exported_without_inputs_and_that_is_said(state, tmp_path):
    path = state / "log" / "predictions-2023-11-16.db"
    path.write_bytes(b"this is no database" * 500)
    export = LabelledExport(state, MODEL, 0.0)
    output = tmp_path / "train.csv"
    assert export.write_csv(output) == 3
    assert any("2023-11-16.db is damaged" in note for note in export.notes)
    with output.open() as file:
        assert sorted(row["x_1"] for row in csv.DictReader(file)) == ["", "0.0", "2.0"]
