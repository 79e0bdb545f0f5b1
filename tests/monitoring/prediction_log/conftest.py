"""Prediction logs with a clock of their own, and samples to put into them."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.merge import snapshot
from penstock.monitoring.metrics.metrics import CounterFile
from penstock.monitoring.prediction_log.prediction_log import PredictionLog
from penstock.monitoring.prediction_log.tally import Tally
from penstock.monitoring.samples.books import BooksFile
from penstock.monitoring.samples.received_frames import ReceivedFrames
from penstock.monitoring.samples.samples import BatchSample

NOON = 1_700_049_600.0  # 2023-11-15 12:00 UTC
DAY = 86_400.0
TODAY = "2023-11-15"


def make_sample(count=4, number=0, *, model="m", version="3", rows=1, time=NOON, **changes):
    total = count * rows
    values = {
        "model": model,
        "version": version,
        "time": time,
        "request_ids": [b"%s-%d-%d" % (model.encode(), number, one) for one in range(count)],
        "offsets": range(0, total + 1, rows),
        "statuses": [200] * count,
        "latencies": [0.25] * count,
        "input_names": ("x", "word"),
        "inputs": [
            np.arange(total * 2, dtype=np.float32).reshape(total, 2),
            np.array([b"w%d" % one for one in range(total)], dtype=object).reshape(total, 1),
        ],
        "output_names": ("y",),
        "outputs": [np.arange(total, dtype=np.int64)],
        "times": [time + one / 1000 for one in range(count)],
    }
    return BatchSample(**(values | changes))


class Bench:
    """A prediction log, what it counts, and what is on the disk."""

    def __init__(self, state, max_bytes=1 << 30, max_days=30):
        self.state = state
        self.now = NOON
        self.jumped = 0.0
        self.received_frames = ReceivedFrames()
        self.counters = CounterFile.anonymous("monitor")
        self.frames = 0
        self.limits = max_bytes, max_days
        self.log = self.open("epoch", {})
        self.received_frames.restore(self.log.restore())

    def open(self, epoch, counted):
        """A log as a monitor has it that starts now, when so much was counted already."""
        tally = Tally(self.counters, counted, BooksFile(self.state.with_name("books.msgpack")))
        return PredictionLog(
            self.state, epoch, tally, *self.limits, self.clock, self.digest, self.monotonic
        )

    def monotonic(self):
        """As far as time has gone on, whatever the clock says."""
        return self.now - self.jumped

    def clock(self):
        return self.now

    @staticmethod
    def digest(model, version):
        return f"sha256:{model}/{version}"

    def take(self, *samples):
        """A frame."""
        rows = {}
        for one in samples:
            rows[one.model, one.version] = rows.get((one.model, one.version), 0) + one.rows
        full = self.log.append(samples, rows)
        self.frames += 1
        self.received_frames.receive("worker-0.1.1", self.frames, rows)
        if full:
            self.commit()
        return sum(rows.values())

    def commit(self, seconds=1.0):
        self.now += seconds
        self.log.commit(self.received_frames, self.now)

    def counts(self):
        """Rows written, and dropped by reason."""
        written, dropped = 0, {}
        for slots in snapshot(self.counters).blocks.values():
            written += slots[layout.LOG_WRITTEN]
            for index, reason in enumerate(layout.LOG_DROP_REASONS):
                if rows := slots[layout.LOG_DROPPED + index]:
                    dropped[reason] = dropped.get(reason, 0) + rows
        return written, dropped

    def day_file(self, day=TODAY):
        return self.state / "log" / f"predictions-{day}.db"

    def select(self, statement, day=TODAY):
        with closing(sqlite3.connect(self.day_file(day))) as db:
            return db.execute(statement).fetchall()

    def size(self):
        return sum(one.stat().st_size for one in self.state.rglob("*") if one.is_file())


@pytest.fixture
def bench(tmp_path):
    made = []

    def make(**options):
        made.append(Bench(tmp_path / "monitor", **options))
        return made[-1]

    yield make
    for one in made:
        one.log.close()


@pytest.fixture
def sample():
    return make_sample
