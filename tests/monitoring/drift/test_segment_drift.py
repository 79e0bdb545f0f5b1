"""Drift in one segment is found and named, a change of the mix is told from it; real consumer."""

from __future__ import annotations

import io

import numpy as np
import pytest
from prometheus_client.registry import CollectorRegistry
from rich.console import Console

from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.monitoring.alerts.reading import read_alerts
from penstock.monitoring.drift.baseline import Reference
from penstock.monitoring.drift.baseline_files import BaselineFiles
from penstock.monitoring.drift.bins import NumberBins, number_bins
from penstock.monitoring.drift.consumer import DriftConsumer
from penstock.monitoring.drift.known import KnownVersion
from penstock.monitoring.drift.metrics import DriftCollector
from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.drift.reading import drift_of
from penstock.monitoring.drift.segment_rule import assess_segments
from penstock.monitoring.drift.segment_window import SegmentWindow, windows_by_segment
from penstock.monitoring.drift.store import WindowStore
from penstock.monitoring.samples.samples import BatchSample
from penstock.monitoring.segments.segment_rows import SegmentRows
from penstock.server.cli.drift import drift_view

#: Segments of 2 % each.
SEGMENTS = 50
FEATURES = ("score", "a", "b", "c")
PLAIN = DriftOptions()


def counted(random, bins, rows, shifts=()):
    """Rows of one segment; `shifts` moves the first features, in standard deviations."""
    counts = {}
    for place, name in enumerate(FEATURES):
        shift = shifts[place] if place < len(shifts) else 0.0
        counts[name] = bins.count(random.normal(shift, size=rows))
    return SegmentWindow(0.0, 1.0, rows, counts)


def judged(random, rows, shifts=(), mix=None):
    """One window of all segments, of which the first may be shifted."""
    bins = number_bins(np.random.default_rng(0).normal(size=10_000))
    assert isinstance(bins, NumberBins)
    references = {
        name: Reference(bins, bins.count(np.zeros(1)), output=name == "score") for name in FEATURES
    }
    names = [f"country={n}" for n in range(SEGMENTS)]
    baselines = {name: counted(random, bins, 1000) for name in names}
    windows = {
        name: counted(random, bins, rows, shifts if name == names[0] else ()) for name in names
    }
    usual = random.multinomial(SEGMENTS * 1000, np.full(SEGMENTS, 1 / SEGMENTS)).tolist()
    now = random.multinomial(SEGMENTS * rows, mix or np.full(SEGMENTS, 1 / SEGMENTS)).tolist()
    return assess_segments(baselines, windows, {"country": (usual, now)}, references, {}, PLAIN)


def test_fifty_segments_that_do_not_drift_raise_nothing():
    """50 segments with four features, and the mix: at most 1 % of windows say anything."""
    random = np.random.default_rng(1)
    windows = [judged(random, 100) for _ in range(80)]
    said = sum(any(one.p <= 0.01 for one in found.values()) for found in windows)
    assert said <= 4  # 1 % of 80 are 0.8; more than 4 have a probability of 0.1 %
    assert not any(one.assessment.level.flagged for found in windows[:20] for one in found.values())


@pytest.mark.parametrize("rows", [100, 300])
def test_drift_in_two_percent_of_the_traffic_is_found_in_its_segment(rows):
    random = np.random.default_rng(2)
    shift = 1.0 if rows == 100 else 0.6
    named = 0
    for _ in range(30):
        found = judged(random, rows, (shift,))
        flagged = {name for name, one in found.items() if one.assessment.level.flagged}
        named += flagged == {"country=0"} and found["country=0"].feature == "score"
    assert named >= 28


def test_another_mix_is_named_as_such_and_is_drift_in_no_segment():
    mix = [0.2, *[0.8 / (SEGMENTS - 1)] * (SEGMENTS - 1)]
    found = judged(np.random.default_rng(3), 100, mix=mix)
    flagged = {name for name, one in found.items() if one.assessment.level.flagged}
    assert flagged == {"country"}
    assert found["country"].assessment.moved == pytest.approx(0.18, abs=0.01)


OPTIONS = DriftOptions(
    window_seconds=60.0,
    window_rows=500,
    learning_rows=4000,
    learning_seconds=400.0,
    baseline_seconds=0.0,
    calibration_windows=8,
)
COUNTRIES = ["(other)", "(missing)", "CH", "DE", "AT"]


class Versions:
    def __init__(self, directory):
        self.files = BaselineFiles(directory / "baselines")

    def is_over(self, model, version, arm):
        return False

    def options(self, model):
        return OPTIONS

    def known(self, model, version):
        built, learnt = self.files.built(model, version), self.files.learnt(model, version)
        return KnownVersion(OPTIONS, [built], learnt, "", lambda: "2031-01-01T00:00:00Z")


class Monitor:
    def __init__(self, directory):
        self.path = directory / "windows.db"
        self.alerts = directory / "alerts.db"
        self.versions = Versions(directory)
        self.now = 1_000_000.0
        self.random = np.random.default_rng(5)
        self.start()

    def start(self):
        told = AlertStore(self.alerts).put
        self.consumer = DriftConsumer(WindowStore(self.path), self.versions, told)

    def minutes(self, count, shift=0.0, mix=(0.1, 0.5, 0.4), rows=1500):
        """Rows of three countries; `shift` moves what the model says of the first."""
        for _ in range(count):
            codes = self.random.choice(3, rows, p=mix)
            x = self.random.normal(size=(rows, 2))
            x[:, 0] += codes  # countries differ, and that is no drift
            score = x[:, 1] + np.where(codes == 0, shift, 0.0)
            self.consumer.take(
                [
                    BatchSample(
                        model="m", version="1", time=self.now, request_ids=[b"r"],
                        offsets=[0, rows], statuses=[200], latencies=[0.001],
                        input_names=("x",), inputs=[x.astype(np.float32)],
                        output_names=("score",), outputs=[score.astype(np.float32)],
                        times=[self.now],
                        segments=(SegmentRows("country", COUNTRIES, codes + 2),),
                    )
                ]
            )  # fmt: skip
            self.now += 61.0
            self.consumer.tick(self.now)

    def told(self):
        (entry,) = drift_of(self.path, "m")
        segments = entry["segments"]
        return {one["segment"]: one["state"] for one in segments["segments"]}, segments["mixes"]

    def shown(self):
        console = Console(width=200, record=True, file=io.StringIO())
        found = {"model": "m", "problem": "", "versions": drift_of(self.path, "m")}
        console.print(drift_view(found))
        return console.export_text()


@pytest.fixture
def monitor(tmp_path):
    made = Monitor(tmp_path)
    made.minutes(26)  # learns, calibrates, and learns the segments
    return made


def test_what_one_country_gets_drifts_and_is_one_episode(monitor):
    states, mixes = monitor.told()
    assert set(states.values()) == {"ok"}
    assert not mixes[0]["changed"]
    for _ in range(2):
        monitor.minutes(1, shift=1.0)
    monitor.consumer.close()
    monitor.start()  # a restart goes on
    monitor.minutes(2, shift=1.0)
    assert monitor.told()[0]["country=CH"] == "drift"
    assert monitor.told()[0]["country=DE"] == "ok"
    (alert,) = read_alerts(monitor.alerts, 10)
    assert alert.alert.subject == "score in country=CH"
    assert (
        "output score in country=CH of m version 1 drifts from the baseline" in alert.alert.summary
    )
    assert "country=CH: drift, most of all score" in monitor.shown()
    registry = CollectorRegistry()
    registry.register(DriftCollector(monitor.path))
    labels = {"model": "m", "version": "1", "arm": "", "state": "drift"}
    assert registry.get_sample_value("penstock_drift_segments", labels) == 1
    monitor.minutes(5)
    assert {one.alert.state for one in read_alerts(monitor.alerts, 10)} == {"opened", "closed"}


def divided(*segments):
    return BatchSample(
        model="m", version="1", time=1.0, request_ids=[b"r"], offsets=[0, 2], statuses=[200],
        latencies=[0.001], input_names=(), inputs=[], output_names=(), outputs=[], times=[1.0],
        segments=segments,
    )  # fmt: skip


def test_rows_from_before_and_after_another_declaration_share_no_segments():
    country = SegmentRows("country", COUNTRIES, np.array([2, 3]))
    plan = SegmentRows("plan", ["(other)", "(missing)", *"abcdef"], np.array([6, 7]))
    both = list(windows_by_segment([divided(country, plan)] * 2, []))
    assert [(field, name, one.rows) for field, name, one in both] == [
        ("country", "country=CH", 2),
        ("country", "country=DE", 2),
        ("plan", "plan=e", 2),
        ("plan", "plan=f", 2),
    ]
    assert list(windows_by_segment([divided(country), divided(plan)], [])) == []


def test_more_traffic_of_one_country_is_a_change_of_the_mix(monitor):
    monitor.minutes(3, mix=(0.3, 0.4, 0.3))
    states, (mix,) = monitor.told()
    assert set(states.values()) == {"ok"}
    assert mix["changed"]
    assert mix["moved"] == pytest.approx(0.2, abs=0.03)
    assert "the mix of country has changed" in monitor.shown()


def test_a_segment_with_few_rows_says_so(monitor):
    monitor.minutes(1, mix=(0.01, 0.5, 0.49))
    assert monitor.told()[0]["country=CH"] == "too few rows"
