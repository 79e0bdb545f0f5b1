"""The summaries in memory say what the files say, before and after a restart."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.monitoring.drift.baseline_files import BaselineFiles
from penstock.monitoring.drift.consumer import DriftConsumer
from penstock.monitoring.drift.known import KnownVersion
from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.drift.reading import drift_of
from penstock.monitoring.drift.states import DRIFT, LEARNING, OK, TOO_LITTLE
from penstock.monitoring.drift.store import ClosedWindow, Key
from penstock.monitoring.drift.window import Window
from penstock.monitoring.drift_summary import summaries as summaries_file
from penstock.monitoring.drift_summary.summaries import DriftSummaries
from penstock.monitoring.drift_summary.summarised_store import SummarisedStore
from penstock.monitoring.samples.samples import BatchSample

OPTIONS = DriftOptions(
    window_seconds=60.0,
    window_rows=500,
    learning_rows=2000,
    learning_seconds=200.0,
    baseline_seconds=0.0,
    calibration_windows=4,
)


class Versions:
    def __init__(self, directory):
        self._files = BaselineFiles(directory / "baselines")
        self.over = set()

    def options(self, model):
        return OPTIONS

    def is_over(self, model, version, arm):
        return (model, version, arm) in self.over

    def known(self, model, version):
        learnt = self._files.learnt(model, version)
        return KnownVersion(OPTIONS, [], learnt, "", lambda: "2031-01-01T00:00:00Z")


class Monitor:
    """A consumer of drift with a clock, fed a minute at a time."""

    def __init__(self, directory):
        self.path = directory / "windows.db"
        self.versions = Versions(directory)
        self.summaries = DriftSummaries(self.versions.options)
        self._alerts = AlertStore(directory / "alerts.db")
        self.now = 1_000_000.0
        self._rng = np.random.default_rng(5)
        self.start()

    def start(self):
        store = SummarisedStore(self.path, self.summaries)
        self.consumer = DriftConsumer(store, self.versions, self._alerts.put)

    def minute(self, rows=600, shift=0.0, arm=""):
        x = self._rng.normal(size=(rows, 2)).astype(np.float32)
        x[:, 1] += shift
        self.consumer.take(
            [
                BatchSample(
                    model="m", version="1", time=self.now + 0.001, request_ids=[b"r"],
                    offsets=[0, rows], statuses=[200], latencies=[0.001],
                    input_names=("x",), inputs=[x], output_names=("y",), outputs=[x[:, 0] > 0],
                    times=[self.now], arm=arm,
                )
            ]
        )  # fmt: skip
        self.now += 61.0
        self.consumer.tick(self.now)

    @property
    def summary(self):
        return self.summaries.by_version()["m", "1"]

    def on_disk(self):
        """The same read from the file."""
        found = DriftSummaries(self.versions.options)
        found.load(self.path)
        return found.by_version()


@pytest.fixture
def monitor(tmp_path):
    made = Monitor(tmp_path)
    yield made
    made.consumer.close()


def test_each_window_is_told_at_once_as_the_files_have_it(monitor):
    seen = []
    for shift in [0.0] * 14 + [3.0] * 4 + [0.0] * 6:
        monitor.minute(shift=shift)
        (entry,) = drift_of(monitor.path, "m")
        seen.append(monitor.summary.state)
        assert monitor.summary.state == entry["state"]
        assert monitor.on_disk() == monitor.summaries.by_version()
        if entry["state"] == DRIFT:
            drifting = sorted(one["words"] for one in entry["features"] if one["state"] == DRIFT)
            assert sorted(monitor.summary.features) == drifting
    assert seen[0] == LEARNING
    assert {OK, DRIFT} <= set(seen)
    assert seen[-1] == OK


def test_a_restart_changes_nothing(monitor):
    for shift in [0.0] * 12 + [3.0] * 2:
        monitor.minute(shift=shift)
    before = monitor.summary
    monitor.consumer.close()
    monitor.start()
    assert monitor.summary == before
    assert before.state == DRIFT
    assert before.since > 1_000_000.0


def test_a_quiet_window_hides_no_open_episode(monitor):
    for shift in [0.0] * 12 + [3.0] * 2:
        monitor.minute(shift=shift)
    names = monitor.summary.features
    monitor.minute(rows=5)
    monitor.now += OPTIONS.max_window_seconds
    monitor.consumer.tick(monitor.now)
    (entry,) = drift_of(monitor.path, "m")
    assert entry["state"] == TOO_LITTLE
    assert (monitor.summary.state, monitor.summary.features) == (DRIFT, names)


def test_the_arm_of_a_rollout_that_is_over_no_longer_drifts(monitor):
    for _ in range(12):
        monitor.minute()
    for shift in (0.0, 3.0, 3.0):
        monitor.minute(shift=shift, arm="canary")
    assert monitor.summary.state == DRIFT
    monitor.versions.over.add(("m", "1", "canary"))
    monitor.now += 61.0
    monitor.consumer.tick(monitor.now)
    assert monitor.summary.state == OK
    assert monitor.on_disk() == monitor.summaries.by_version()


def test_the_number_of_summaries_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(summaries_file, "MOST", 3)
    found = DriftSummaries(lambda _: OPTIONS)
    store = SummarisedStore(tmp_path / "windows.db", found)
    state = {
        "baseline": "b", "window": None, "episodes": {}, "problem": "", "source": "",
        "closed": 1, "calibrated": [],
    }  # fmt: skip
    for number in range(6):
        key = Key(f"m{number}", "1", "")
        window = replace(Window.sketching(float(number)), rows=5, end=float(number))
        store.put(ClosedWindow(key, "b", TOO_LITTLE, window, {}), state)
    kept = {("m3", "1"), ("m4", "1"), ("m5", "1")}
    assert set(found.by_version()) == kept
    found.load(tmp_path / "windows.db")
    assert set(found.by_version()) == kept
    store.close()


def test_a_file_that_cannot_be_read_is_an_error_that_begins_a_new_one(tmp_path):
    (tmp_path / "windows.db").write_bytes(b"no database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        SummarisedStore(tmp_path / "windows.db", DriftSummaries(lambda _: OPTIONS))
