"""Samples in; windows, states and alerts out: the real consumer on real files."""

from __future__ import annotations

import io
import json
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client.registry import CollectorRegistry
from rich.console import Console

from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.monitoring.alerts.alerts_file import AlertSettings
from penstock.monitoring.alerts.reading import read_alerts
from penstock.monitoring.alerts.sink import Sink
from penstock.monitoring.alerts.template import request
from penstock.monitoring.drift.accepting import accepted_references, calibrating_until
from penstock.monitoring.drift.baseline import FROM_ACCEPTED, FROM_FILE, Baseline
from penstock.monitoring.drift.baseline_files import BaselineFiles, read_baseline, write_baseline
from penstock.monitoring.drift.consumer import DriftConsumer
from penstock.monitoring.drift.known import KnownVersion
from penstock.monitoring.drift.learning import category_reference, number_reference
from penstock.monitoring.drift.learnt import LearntFaults
from penstock.monitoring.drift.metrics import DriftCollector
from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.drift.reading import drift_of, judged_windows
from penstock.monitoring.drift.schema import Schema
from penstock.monitoring.drift.store import Key, WindowStore, read_windows
from penstock.monitoring.metrics.merge import snapshot
from penstock.monitoring.metrics.metrics import CounterFile
from penstock.monitoring.metrics.quality_collector import quality_families
from penstock.monitoring.samples.featurizers import Featurizers
from penstock.monitoring.samples.samples import BatchSample
from penstock.server.cli.drift import drift_view
from penstock.server.drift.references import References

OPTIONS = DriftOptions(
    window_seconds=60.0,
    window_rows=500,
    learning_rows=4000,
    learning_seconds=400.0,
    baseline_seconds=0.0,
    calibration_windows=8,
)
KEY = Key("m", "1", "")


class Versions:
    def __init__(self, directory, options=OPTIONS):
        self.files = BaselineFiles(directory / "baselines")
        self._options = options
        self.over = set()

    def is_over(self, model, version, arm):
        return (model, version, arm) in self.over

    def options(self, model):
        return self._options

    def known(self, model, version):
        built, learnt = self.files.built(model, version), self.files.learnt(model, version)
        now = lambda: "2031-01-01T00:00:00Z"  # noqa: E731
        accepted = self.files.accepted(model, version)
        return KnownVersion(self._options, [built], learnt, "", now, accepted=accepted)


class Monitor:
    """A consumer with a clock, fed a minute at a time."""

    def __init__(self, directory, **options):
        self.directory = directory
        self.versions = Versions(directory, options.pop("options", OPTIONS))
        self.alert_store = AlertStore(directory / "alerts.db")
        self.now = 1_000_000.0
        self.rng = np.random.default_rng(11)
        self.options = options
        self.start()

    def start(self):
        store = WindowStore(self.directory / "windows.db")
        self.consumer = DriftConsumer(store, self.versions, self.alert_store.put, **self.options)

    def minute(
        self, rows=600, shift=0.0, words=(0.5, 0.3, 0.2), arm="", *, ticks=True, lost=False, same=0
    ):
        """Rows of ten scalars and a text; `shift` moves the third scalar.

        Answers belong to other rows if the relation is `lost`; `same` of sixty rows are equal.
        """
        for first in range(0, rows, 60):
            count = min(60, rows - first)
            x = self.rng.normal(size=(count, 10)).astype(np.float32)
            x[:, 2] += shift
            text = self.rng.choice(["red", "green", "blue"], count, p=words).astype(object)
            if same:
                x[:same], text[:same] = np.linspace(-2, 2, 10), "red"
            score = 1 / (1 + np.exp(-x[:, 0]))
            if lost:
                score = self.rng.permutation(score)
            self.consumer.take(
                [
                    BatchSample(
                        model="m", version="1", time=self.now + 0.001, request_ids=[b"r"],
                        offsets=[0, count], statuses=[200], latencies=[0.001],
                        input_names=("x", "colour"), inputs=[x, text],
                        output_names=("label", "scores"),
                        outputs=[(score > 0.5).astype(np.int64), np.stack([1 - score, score], 1)],
                        times=[self.now], arm=arm,
                    )
                ]
            )  # fmt: skip
        if ticks:
            self.now += 61.0
            self.consumer.tick(self.now)

    def windows(self):
        with sqlite3.connect(self.directory / "windows.db") as database:
            return read_windows(database, "m", None, 1000)

    def alerts(self):
        with sqlite3.connect(self.directory / "alerts.db") as database:
            tables = database.execute("SELECT name FROM sqlite_master WHERE name = 'alerts'")
            if not tables.fetchall():
                return []
            return database.execute("SELECT kind || '.' || state, subject FROM alerts").fetchall()


@pytest.fixture
def monitor(tmp_path):
    return Monitor(tmp_path)


def learn(monitor):
    for _ in range(7):
        monitor.minute()
    assert monitor.versions.files.learnt("m", "1").is_file()


def calibrate(monitor):
    for _ in range(9):
        monitor.minute()


def test_the_first_rows_are_the_baseline(monitor):
    learn(monitor)
    assert monitor.windows() == []
    monitor.minute()
    (closed,) = monitor.windows()
    assert set(closed.findings) == {
        *(f"x[{index}]" for index in range(10)),
        "colour", "label", "scores[0]", "scores[1]", "scores.top", "scores.margin",
        "scores.entropy",
    }  # fmt: skip
    assert closed.state == "calibrating"
    assert closed.window.rows == 600
    assert all(sum(counts.tolist()) == 600 for counts in closed.window.counts.values())


def test_a_rate_of_false_alarms_that_is_not_known_is_no_number(monitor):
    """Neither in the status nor in the metrics; both have the same number later."""
    path = monitor.directory / "windows.db"
    registry = CollectorRegistry()
    registry.register(DriftCollector(path))

    def rates():
        (entry,) = drift_of(path, "m", None)
        labels = {"model": "m", "version": "1", "arm": ""}
        name = "penstock_drift_expected_false_alarms_per_week"
        return entry["expected_false_alarms_per_week"], registry.get_sample_value(name, labels)

    learn(monitor)
    for _ in range(2):
        monitor.minute()
        assert rates() == (None, None)
    for _ in range(12):
        monitor.minute()
    stated, told = rates()
    assert 0 <= stated == told < 1


def test_a_shift_is_one_episode_that_opens_and_closes(monitor):
    learn(monitor)
    calibrate(monitor)
    assert monitor.windows()[-1].state == "ok"
    for shift in (0.45, 0.45, 0.45, 0.0, 0.0, 0.0):
        monitor.minute(shift=shift)
    states = [one.findings["x[2]"]["state"] for one in monitor.windows()[-6:]]
    assert states == ["warn", "drift", "drift", "drift", "drift", "ok"]
    others = {
        one.findings[name]["state"]
        for one in monitor.windows()[-6:]
        for name in one.findings
        if name != "x[2]"
    }
    assert others == {"ok"}
    told = monitor.alerts()
    assert sorted(told) == [("drift.closed", "x[2]"), ("drift.opened", "x[2]")]


def test_a_large_shift_is_told_at_once_even_while_calibrating(monitor):
    learn(monitor)
    monitor.minute(shift=1.5)
    assert monitor.alerts() == [("drift.opened", "x[2]")]


def accept(monitor, shift, number=None):
    """Accept the windows of the open episode, or so many of the last, as the baseline."""
    closed = judged_windows(monitor.directory / "windows.db", "m", "1", number, 24)
    files = monitor.versions.files
    references = References(files, {}).in_force("m", "1", closed[-1].baseline)
    made = accepted_references(references, [one.window for one in closed], OPTIONS)
    files.accept("m", "1", Baseline(made.references, FROM_ACCEPTED))
    monitor.minute(shift=shift)  # the first rows that are counted over the new baseline
    return closed, made


def test_windows_that_were_accepted_are_the_baseline(monitor):
    learn(monitor)
    calibrate(monitor)
    for _ in range(6):
        monitor.minute(shift=0.45)
    closed, made = accept(monitor, 0.45)
    # The episode opened with the second window.
    assert len(closed) == 5
    assert {one.findings["x[2]"]["state"] for one in closed} == {"drift"}
    assert made.learnt_anew == ()
    assert made.rows == 3000
    assert sorted(monitor.alerts()) == [("drift.closed", "x[2]"), ("drift.opened", "x[2]")]
    for _ in range(10):
        monitor.minute(shift=0.45)
    (entry,) = drift_of(monitor.directory / "windows.db", "m")
    assert (entry["state"], entry["source"], entry["windows"]) == ("ok", "accepted", 25)
    # What was healthy before is drift now, and what was learnt before is forgotten.
    for _ in range(2):
        monitor.minute()
    assert monitor.windows()[-1].findings["x[2]"]["state"] == "drift"
    assert not monitor.versions.files.learnt("m", "1").exists()


@pytest.mark.parametrize(("number", "state"), [(7, "calibrating"), (8, "ok")])
def test_enough_windows_that_were_accepted_teach_how_much_healthy_ones_vary(monitor, number, state):
    learn(monitor)
    calibrate(monitor)
    for _ in range(9):
        monitor.minute(shift=0.45)
    closed, made = accept(monitor, 0.45, number)
    assert len(closed) == number
    ends = calibrating_until(made, OPTIONS, monitor.now)
    assert (ends is None) == (state == "ok")
    monitor.minute(shift=0.45)
    assert monitor.windows()[-1].state == state
    for _ in range(2):  # what was healthy before
        monitor.minute()
    found = monitor.windows()[-1].findings["x[2]"]["state"]
    assert (found == "drift") == (state == "ok")


def test_a_feature_that_left_its_bins_is_learnt_anew_when_windows_are_accepted(monitor):
    learn(monitor)
    calibrate(monitor)
    for _ in range(2):
        monitor.minute(shift=30.0)
    _, made = accept(monitor, 30.0)
    assert made.learnt_anew == ("x[2]",)
    monitor.minute(shift=30.0)  # the minute before was counted over the old baseline
    assert "x[2]" not in monitor.windows()[-1].findings
    for _ in range(9):
        monitor.minute(shift=30.0)
    found = monitor.windows()[-1].findings
    assert found["x[2]"]["state"] != "drift"
    assert abs(found["x[2]"]["shift"]) < 1.0
    before = monitor.windows()[0].findings
    assert found.keys() - {"(relations)"} == before.keys() - {"(relations)"}


@pytest.mark.parametrize("restarted", [False, True])
def test_a_relation_that_is_lost_is_told_by_the_names_of_its_columns(monitor, restarted):
    learn(monitor)
    calibrate(monitor)
    if restarted:
        monitor.consumer.close()
        monitor.start()
        monitor.consumer.tick(monitor.now)
    monitor.minute(lost=True)
    (told,) = monitor.alerts()
    assert told[0] == "drift.opened"
    assert told[1].startswith("the relation between x[0] and ")
    closed = monitor.windows()[-1]
    assert closed.state == "drift"
    assert {name for name, one in closed.findings.items() if one["level"] != "clean"} == {
        "(relations)"
    }
    (entry,) = drift_of(monitor.directory / "windows.db", "m")
    (related,) = [one for one in entry["features"] if one["name"] == "(relations)"]
    assert related["words"] == told[1]
    for _ in range(3):
        monitor.minute()
    assert monitor.alerts()[-1] == ("drift.closed", told[1])
    # The pair that differs most in the end is another one, by chance.
    last = read_alerts(monitor.directory / "alerts.db", 10)[0]
    assert last.alert.summary.startswith("each relation between columns of m version 1 is again")
    assert "correlation" not in last.alert.summary


def test_a_flood_of_one_row_is_noted_and_opens_nothing(monitor):
    learn(monitor)
    calibrate(monitor)
    for _ in range(3):
        monitor.minute(same=25)
    assert monitor.alerts() == []
    (entry,) = drift_of(monitor.directory / "windows.db", "m")
    assert entry["notes"]["repeats"]["often"] == pytest.approx(25 / 60)
    for _ in range(2):
        monitor.minute(same=25, shift=1.0)
    evidence = monitor.alert_store.open_episodes()
    assert len(evidence) == 1
    with sqlite3.connect(monitor.directory / "alerts.db") as database:
        (summary,) = database.execute("SELECT summary FROM alerts").fetchone()
    assert "42 % are one and the same row" in summary


def test_a_category_that_moves_is_flagged(monitor):
    learn(monitor)
    calibrate(monitor)
    monitor.minute(words=(0.3, 0.3, 0.4))
    assert monitor.windows()[-1].findings["colour"]["level"] == "warn"


def test_a_restart_goes_on_with_the_open_window(monitor):
    learn(monitor)
    monitor.minute(rows=200)
    assert monitor.windows() == []
    monitor.consumer.close()
    monitor.start()
    monitor.consumer.tick(monitor.now)
    monitor.minute(rows=400)
    assert monitor.windows()[-1].window.rows == 600


def test_a_restart_knows_what_wandered_slowly_while_it_was_calibrating(monitor):
    learn(monitor)
    for minute in range(10):
        monitor.minute(shift=minute / 8)
    variations = monitor.consumer._groups[KEY].drift_state.variations
    assert min(one.stretches for one in variations["x[2]"].values()) < 1
    monitor.minute(rows=60)
    monitor.consumer.close()
    monitor.start()
    assert monitor.consumer._groups[KEY].drift_state.variations == variations


def test_a_restart_goes_on_learning(monitor):
    for _ in range(3):
        monitor.minute()
    monitor.consumer.close()
    monitor.start()
    for _ in range(4):
        monitor.minute()
    assert monitor.versions.files.learnt("m", "1").is_file()


def test_a_killed_monitor_loses_ten_seconds_at_most(monitor):
    learn(monitor)
    monitor.minute(rows=200)
    monitor.start()  # no close: what was saved at the last tick is there
    monitor.consumer.tick(monitor.now)
    monitor.minute(rows=400)
    assert monitor.windows()[-1].window.rows == 600


def test_a_built_baseline_names_the_inputs_and_only_outputs_are_learnt(monitor):
    rng = np.random.default_rng(1)
    references = {f"f{index}": number_reference(rng.normal(size=5000)) for index in range(10)}
    references["tint"] = category_reference(rng.choice(["red", "green", "blue"], 5000).tolist())
    built = monitor.versions.files.built("m", "1")
    write_baseline(built, Baseline(references, FROM_FILE, made="now"))
    monitor.minute(shift=2.0)
    (closed,) = monitor.windows()
    assert set(closed.findings) == set(references)
    assert closed.findings["f2"]["state"] == "drift"
    assert closed.findings["tint"]["level"] != "clean"  # a third each is not a half
    learn(monitor)
    monitor.minute()
    assert "label" in monitor.windows()[-1].findings


def test_a_new_baseline_starts_anew_and_ends_open_episodes(monitor):
    learn(monitor)
    monitor.minute(shift=1.5)
    monitor.minute(rows=100)
    rng = np.random.default_rng(1)
    references = {f"x[{index}]": number_reference(rng.normal(size=5000)) for index in range(10)}
    write_baseline(monitor.versions.files.built("m", "1"), Baseline(references, FROM_FILE))
    monitor.consumer.tick(monitor.now)
    monitor.minute()
    assert sorted(monitor.alerts()) == [("drift.closed", "x[2]"), ("drift.opened", "x[2]")]
    assert monitor.windows()[-1].window.rows == 600
    assert monitor.windows()[-1].baseline != monitor.windows()[0].baseline


def test_arms_have_windows_of_their_own(monitor):
    learn(monitor)
    monitor.minute(rows=600, arm="stable", ticks=False)
    monitor.minute(rows=600, arm="canary")
    assert {one.key.arm for one in monitor.windows()} == {"stable", "canary"}


def test_too_few_rows_say_nothing(tmp_path):
    options = replace(OPTIONS, max_window_seconds=60)
    monitor = Monitor(tmp_path, options=options)
    learn(monitor)
    monitor.minute(rows=50, shift=5.0)
    assert monitor.windows()[-1].state == "too little data"
    assert monitor.alerts() == []


def test_of_too_many_rows_a_part_is_looked_at_and_the_rest_counted(tmp_path):
    monitor = Monitor(tmp_path, most_rows_per_second=50)
    learn(monitor)
    monitor.minute(rows=12_000)  # 197 a second
    monitor.minute(rows=12_000)
    window = monitor.windows()[-1].window
    assert window.rows + window.skipped == 12_000
    assert window.rows == pytest.approx(12_000 * 50 / 197, rel=0.05)


def test_missing_values_and_errors_do_no_harm(monitor):
    learn(monitor)
    failed = BatchSample(
        "m", "1", monitor.now, [b"r"], [0, 1], [500], [0.1], (), [], (), [], [monitor.now],
        error="model_error",
    )  # fmt: skip
    x = np.full((600, 10), np.nan, np.float32)
    x[0] = np.inf
    odd = BatchSample(
        "m", "1", monitor.now, [b"r"], [0, 600], [200], [0.1], ("x", "colour"), [x, None],
        (), [], [monitor.now],
    )  # fmt: skip
    monitor.consumer.take([failed, odd])
    monitor.now += 61
    monitor.consumer.tick(monitor.now)
    (closed,) = monitor.windows()
    assert closed.window.counts["x[3]"].tolist()[-2:] == [599, 1]
    assert closed.findings["x[3]"]["state"] == "drift"
    assert "colour" not in closed.findings


def test_a_slow_baseline_is_closed_after_a_day(tmp_path):
    options = replace(OPTIONS, window_rows=100, learning_seconds=86_400.0)
    monitor = Monitor(tmp_path, options=options)
    learnt = monitor.versions.files.learnt("m", "1")
    monitor.minute(rows=60)
    monitor.now += 86_400
    monitor.consumer.tick(monitor.now)
    assert not learnt.exists()  # too few to say anything
    monitor.consumer.close()
    monitor.start()
    monitor.minute(rows=60)
    baseline = read_baseline(learnt)
    assert baseline.rows == 120
    assert {"x[0]", "colour", "label", "scores.top"} <= set(baseline.references)
    monitor.minute(rows=120)
    assert monitor.windows()[-1].window.rows == 120


def test_rows_outside_what_the_baseline_taught_are_counted(tmp_path):
    counters = CounterFile.anonymous("monitor")
    learnt = LearntFaults(counters)
    monitor = Monitor(tmp_path, learnt=learnt)
    learn(monitor)
    x = np.zeros((600, 10), np.float32)
    x[:30, 1], x[30:40, 1], x[:7, 2] = 99.0, np.inf, np.nan
    words = np.array(["red"] * 580 + ["mauve"] * 15 + [""] * 5, object)
    odd = BatchSample(
        "m", "1", monitor.now, [b"r"], [0, 600], [200], [0.1], ("x", "colour"), [x, words],
        (), [], [monitor.now],
    )  # fmt: skip
    monitor.consumer.take([odd])
    monitor.now += 61
    monitor.consumer.tick(monitor.now)
    findings = monitor.windows()[-1].findings
    assert findings["x[1]"]["faults"] == {"range": 40, "domain": 0, "missing": 0}
    assert findings["x[2]"]["faults"] == {"range": 0, "domain": 0, "missing": 7}
    assert findings["colour"]["faults"] == {"range": 0, "domain": 15, "missing": 5}
    assert {one.name: (one.rows, one.faults) for one in learnt.fields() if any(one.faults)} == {
        "x[1]": (600, [40, 0, 0]),
        "x[2]": (600, [0, 0, 7]),
        "colour": (600, [0, 15, 5]),
    }
    (_, series) = quality_families(snapshot(counters))
    told = {(one.labels["field"], one.labels["kind"]): one.value for one in series.samples}
    assert told == {
        ("x[1]", "range"): 40,
        ("x[2]", "missing"): 7,
        ("colour", "domain"): 15,
        ("colour", "missing"): 5,
    }
    monitor.versions.files.forget("m", "1")
    monitor.consumer.tick(monitor.now)
    learn(monitor)
    monitor.minute()
    assert all(one.rows == 600 for one in learnt.fields())


def test_old_windows_are_merged_into_days_and_then_forgotten(monitor):
    learn(monitor)
    for _ in range(4):
        monitor.minute()
    before = sum(one.window.counts["x[0]"] for one in monitor.windows())
    store = WindowStore(monitor.directory / "windows.db")
    store.maintain(monitor.now + 16 * 86_400)
    (day,) = monitor.windows()
    assert day.span == "day"
    assert (day.window.counts["x[0]"] == before).all()
    assert list(store.drift_states()) == [("m", "1", "")]
    store.maintain(monitor.now + 91 * 86_400)
    assert monitor.windows() == []
    assert store.drift_states() == {}
    monitor.minute()  # rows that come again are watched as those of a new version
    monitor.consumer.close()
    assert list(store.drift_states()) == [("m", "1", "")]


@pytest.mark.parametrize("restarted", [False, True])
def test_what_is_open_of_an_arm_ends_with_its_rollout(monitor, restarted):
    learn(monitor)
    monitor.minute(shift=1.5, arm="canary")
    assert monitor.alerts() == [("drift.opened", "x[2]")]
    monitor.versions.over = {("m", "1", "canary")}
    if restarted:
        monitor.consumer.close()
        monitor.start()
    monitor.minute()
    assert sorted(monitor.alerts()) == [("drift.closed", "x[2]"), ("drift.opened", "x[2]")]
    for _ in range(3):
        monitor.minute()
    assert len(monitor.alerts()) == 2
    assert monitor.alert_store.open_episodes() == []


class Distance:
    """A featurizer: how far a row is from the origin."""

    def names(self, model, tensor, dtype, shape):
        return ("distance",) if (tensor, dtype, shape) == ("x", "float32", (10,)) else ()

    def features(self, rows):
        return np.linalg.norm(rows, axis=1, keepdims=True)


class Broken(Distance):
    def names(self, model, tensor, dtype, shape):
        return ("broken",)

    def features(self, rows):
        raise OSError("no")


def test_a_featurizer_adds_a_feature_and_a_broken_one_none(monitor):
    """As the receiver has it: one contract, and consumers see features as inputs."""
    featurizers = Featurizers({"broken": Broken(), "distance": Distance()})
    take = monitor.consumer.take
    monitor.consumer.take = lambda samples: take(featurizers.extend(samples))
    learn(monitor)
    monitor.minute()
    findings = monitor.windows()[-1].findings
    assert "x.distance" in findings
    assert "x.broken" not in findings
    (known,) = monitor.consumer._known.values()
    assert "x.distance" not in known._schema.names


def test_whom_a_row_is_about_is_not_watched(monitor):
    known = monitor.versions.known

    def of_people(model, version):
        one = known(model, version)
        one._schema = Schema("colour")
        return one

    monitor.versions.known = of_people
    learn(monitor)
    monitor.minute()
    assert "colour" not in monitor.windows()[-1].findings
    kept = (monitor.directory / "windows.db").read_bytes()
    kept += monitor.versions.files.learnt("m", "1").read_bytes()
    assert b"green" not in kept


def test_features_that_drift_together_are_one_alert_one_line_and_one_incident(monitor):
    """One cause moves an input, a text and what the model says: told once, the largest first."""
    learn(monitor)
    calibrate(monitor)
    for _ in range(2):
        monitor.minute(shift=0.6, words=(0.2, 0.3, 0.5))
    (told,) = read_alerts(monitor.directory / "alerts.db", 10)
    features = told.alert.evidence["features"]
    names = [one["feature"] for one in features]
    assert set(names) == {"colour", "x[2]"}
    assert names == sorted(names, key=lambda name: -_psi(features, name))
    assert told.alert.subject == f"{names[0]} and 1 more"
    assert told.alert.evidence["number"] == 2
    assert sum(one["contribution"] for one in features) == pytest.approx(1.0, abs=1e-3)
    # The payload that a receiver gets has the same features in the same order.
    sink = Sink("hook", url="http://127.0.0.1:9/")
    payload = json.loads(request(told.alert, sink, AlertSettings(), sink.url, "").body)
    sent = payload["data"]["evidence"]["features"]
    assert [one["feature"] for one in sent] == names
    # So does the command line, above all that did not drift.
    path = monitor.directory / "windows.db"
    entries = drift_of(path, "m")
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(drift_view({"model": "m", "problem": "", "versions": entries}))
    shown = [line.split()[0] for line in console.export_text().splitlines() if " drift " in line]
    assert shown == names
    # The metric counts one incident of two features.
    registry = CollectorRegistry()
    registry.register(DriftCollector(path))
    labels = {"model": "m", "version": "1", "arm": ""}
    assert registry.get_sample_value("penstock_drift_incidents", labels) == 1
    assert registry.get_sample_value("penstock_drift_features", labels) == 2
    for _ in range(3):
        monitor.minute()
    assert sorted(kind for kind, _ in monitor.alerts()) == ["drift.closed", "drift.opened"]


def _psi(features, name):
    return next(one["psi"] for one in features if one["feature"] == name)
