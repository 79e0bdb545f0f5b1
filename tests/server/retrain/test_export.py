"""Labelled predictions beside a retraining: a real process writes them, once for each order."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest

from penstock.monitoring.feedback.label import Label
from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.feedback.store import FeedbackStore
from penstock.monitoring.samples.samples import BatchSample
from penstock.server.retrain.export_child import KEPT, exported
from penstock.server.retrain.export_order import ExportOrder
from penstock.server.retrain.export_process import ExportRefused, run_export

NOW = 1_700_000_000.0


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """``STATE_DIR/monitor`` with one labelled prediction."""
    directory = tmp_path / "monitor"
    directory.mkdir()
    store = FeedbackStore(directory, lambda *_: FeedbackOptions(), lambda *_: None, 1000, 30.0)
    sample = BatchSample(
        "m", "1", NOW, [b"a"], [0, 1], [200], [0.1], (), [], ("y",), [np.array([1])], [NOW]
    )
    store.take([sample])
    store.tick(NOW)
    store.feedback([Label("a", 1, NOW)], NOW)
    store.close()
    return directory


def order(state: Path, place: Path, **more: str) -> ExportOrder:
    said = {"model": "m", "name": "m-1.csv", **more}
    return ExportOrder(str(state), said["model"], 0.0, str(place), said["name"])


def test_the_same_order_again_gives_the_same_file(state: Path, tmp_path: Path) -> None:
    data = run_export(order(state, tmp_path / "out"))
    assert data.rows == 1
    path = Path(data.uri)
    assert path == tmp_path / "out" / "m" / "m-1.csv"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == data.sha256
    with path.open() as file:
        assert next(csv.DictReader(file))["label"] == "1"
    assert exported(order(state, tmp_path / "out")) == data


def test_without_labels_there_are_no_data_and_that_is_said(state: Path, tmp_path: Path) -> None:
    data = run_export(order(state, tmp_path, model="other"))
    assert (data.uri, data.rows) == ("", 0)
    assert data.note == "there are no labels of 'other' in this time"


def test_what_cannot_be_written_is_a_reason(state: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExportRefused, match="file"):
        run_export(order(state, tmp_path / "file"))


def test_a_directory_keeps_the_newest(state: Path, tmp_path: Path) -> None:
    for number in range(KEPT + 3):
        exported(order(state, tmp_path / "out", name=f"m-{number:02}.csv"))
    kept = sorted(one.name for one in (tmp_path / "out" / "m").iterdir())
    assert len(kept) == KEPT
    assert f"m-{KEPT + 2:02}.csv" in kept
