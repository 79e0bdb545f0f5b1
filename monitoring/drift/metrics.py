"""Drift as Prometheus metrics, from what the monitor wrote: read when the file has changed."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import msgpack
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from penstock.monitoring.databases import content
from penstock.monitoring.files.stamp import last_written

from .reading import open_windows
from .states import DRIFT, STATES, stated_rate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prometheus_client import Metric

#: Features of a version with a series of their own, outputs first; all versions together have
#: ten times as many.
MOST_SERIES: Final = 64
_MOST_TOGETHER: Final = 10 * MOST_SERIES
_LABELS: Final = ("model", "version", "arm")
_QUERY: Final = """
SELECT model, version, arm, state, findings FROM windows WHERE id IN (
    SELECT MAX(id) FROM windows WHERE span = 'window' AND state != 'too little data'
    GROUP BY model, version, arm
)
"""
_STATES: Final = "SELECT model, version, arm, state FROM watches"


class DriftCollector(Collector):
    """The last window of every version.

    Args:
        path: Path of ``windows.db``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: object = None
        self._found: tuple[list[Any], list[Any]] = ([], [])

    def describe(self) -> Iterator[Metric]:
        """Nothing: the registry must not read the file when it is built."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All families."""
        windows, drift_states = self._read()
        psi = GaugeMetricFamily(
            "penstock_drift_psi",
            "Population stability index of the last window, corrected for its bias.",
            labels=(*_LABELS, "feature"),
        )
        states = GaugeMetricFamily(
            "penstock_drift_state",
            "1 for the state of the version after its last window, 0 for the others.",
            labels=(*_LABELS, "state"),
        )
        features = GaugeMetricFamily(
            "penstock_drift_features", "Features with an open drift episode.", labels=_LABELS
        )
        incidents = GaugeMetricFamily(
            "penstock_drift_incidents",
            "Open drift incidents: features that began to drift in the same window are one.",
            labels=_LABELS,
        )
        room = _MOST_TOGETHER
        for model, version, arm, state, found in windows:
            labels = [model, version, arm]
            for one in STATES:
                states.add_metric([*labels, one], float(one == state))
            drifting = sum(one["state"] == DRIFT for one in found.values())
            features.add_metric(labels, drifting)
            begun = {one["since"] for one in found.values() if one["state"] == DRIFT}
            incidents.add_metric(labels, len(begun))
            outputs_first = sorted(found, key=lambda name: (not found[name]["output"], name))
            shown = outputs_first[: min(MOST_SERIES, room)]
            room -= len(shown)
            for name in shown:
                psi.add_metric([*labels, name], found[name]["psi"])
        yield from (psi, states, features, incidents)
        total = CounterMetricFamily(
            "penstock_drift_windows", "Windows that were closed.", labels=_LABELS
        )
        expected = GaugeMetricFamily(
            "penstock_drift_expected_false_alarms_per_week",
            "Episodes a week to be expected by chance; left out while it is not known.",
            labels=_LABELS,
        )
        last = {(model, version, arm): found for model, version, arm, _, found in windows}
        for model, version, arm, closed, by_chance, _ in drift_states:
            total.add_metric([model, version, arm], closed)
            rate = stated_rate(by_chance, last.get((model, version, arm), {}))
            if rate is not None:
                expected.add_metric([model, version, arm], rate)
        yield from (total, expected, _segments(drift_states))

    def _read(self) -> tuple[list[Any], list[Any]]:
        """Rows of the last windows and of the watches; those of before if nothing has changed."""
        stamps = last_written(self._path)
        if stamps != self._stamp:
            try:
                database = open_windows(self._path)
                if database is not None:
                    with closing(database):
                        windows = database.execute(_QUERY).fetchall()
                        drift_states = database.execute(_STATES).fetchall()
                    with content():
                        self._found = (
                            [(*one[:4], msgpack.unpackb(one[4])) for one in windows],
                            [(*one[:3], *_told(one[3])) for one in drift_states],
                        )
                    self._stamp = stamps
            except sqlite3.Error:
                pass  # it is just being made, or the disk is gone: what was known is shown
        return self._found


def _told(packed: bytes) -> tuple[int, float, Counter[str]]:
    """The shown part of a packed state: its windows, alarms by chance, segments by state."""
    state = msgpack.unpackb(packed)
    told = state.get("segments", {}).get("last", {}).get("segments", ())
    return state["closed"], state["expected"], Counter(one["state"] for one in told)


def _segments(drift_states: list[Any]) -> Metric:
    """Segments of each version by their state."""
    segments = GaugeMetricFamily(
        "penstock_drift_segments",
        "Segments by what the last window said of them.",
        labels=(*_LABELS, "state"),
    )
    for model, version, arm, _, _, told in drift_states:
        for state, number in told.items():
            segments.add_metric([model, version, arm, state], number)
    return segments
