"""Every sampled row is counted once, wherever a process is killed.

A worker and a monitor run in this process, with real spools, counter files and day files, but the
event that ends one of them comes at a chosen line of the code: a tracer counts lines, and kills.
All lines are tried in turn, some of them in each run of the suite.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path

import msgpack
import numpy as np
import pytest

from penstock import monitoring
from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.liveness import holds_counters
from penstock.monitoring.metrics.merge import merge
from penstock.monitoring.metrics.metrics import CounterFile
from penstock.monitoring.prediction_log.no_log import NoLog
from penstock.monitoring.prediction_log.prediction_log import PredictionLog
from penstock.monitoring.prediction_log.tally import Tally, counted_rows
from penstock.monitoring.samples.books import BooksFile
from penstock.monitoring.samples.featurizers import Featurizers
from penstock.monitoring.samples.lost_rows import LostRows
from penstock.monitoring.samples.received_frames import ReceivedFrames
from penstock.monitoring.samples.receiver import Receiver
from penstock.monitoring.samples.run_sample import Origin, RunSample
from penstock.monitoring.samples.sample_buffer import SampleBuffer
from penstock.monitoring.samples.segmenter import Segmenter
from penstock.monitoring.samples.spool import Spool
from penstock.monitoring.samples.spool_reader import SpoolReader
from penstock.server.worker import sampler as sampler_module
from penstock.server.worker.sampler import Sampler

#: A file that was being read when its process was killed.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

NOON = 1_700_049_600.0
LABELS = ("m", "1")
ORIGIN = Origin(*LABELS, ("x",))
NAMES = ("y",)
ROOM = Path(monitoring.__file__).parent
TRACED = {str(one) for one in ROOM.glob("*.py")} | {str(one) for one in ROOM.glob("log/*.py")}
TRACED.add(sampler_module.__file__)


class KilledError(BaseException):
    """The process is gone."""


class Lines:
    """Runs something, and does `event` before the line with this number; counts lines."""

    def __init__(self, at, event):
        self.left = at
        self.seen = 0
        self._event = event

    def run(self, call):
        sys.settrace(self._enter)
        try:
            call()
        finally:
            sys.settrace(None)

    def _enter(self, frame, what, _):
        return self._line if frame.f_code.co_filename in TRACED else None

    def _line(self, frame, what, _):
        if what == "line":
            self.seen += 1
            if self.seen == self.left:
                self._event()
        return self._line


class Worker:
    """One life of a worker; everything is sampled."""

    def __init__(self, world):
        self.counters = CounterFile.create(world.counters, "worker-0")
        self.buffer = SampleBuffer(100, 1 << 20)
        self.spool = Spool(world.samples, self.counters.incarnation, 4000)
        self.sampler = Sampler(self.buffer, self.spool, self.counters)
        self.world = world

    def answer(self, rows):
        """Answer requests of one row each, as the path does, and let a second pass."""
        ids = [b"%d" % next(self.world.ids) for _ in range(rows)]
        x = np.zeros((rows, 1), np.float32)
        counters = self.counters.model(*LABELS)
        counters.sampled(rows)
        taken = RunSample(ORIGIN, NAMES, NOON, 1.0, rows, ids, [0.5] * rows, None, None, [x], [x])
        if not self.buffer.offer(taken, x.nbytes):
            counters.sampled(0, rows)
        self.sampler.flush()
        self.spool._begun_at = float("-inf")  # the next frame begins a segment

    def die(self):
        if self.counters._fd is not None:
            self.counters.close()
            with suppress(OSError, TypeError):  # it may be closed by now
                os.close(self.spool._descriptor)
            self.spool._descriptor = None


class Monitor:
    """One life of the monitor."""

    def __init__(self, world, journal):
        self.counters = CounterFile.create(world.counters, "monitor")
        self.world, self.journal = world, None
        tally = Tally(self.counters, counted_rows(world.counters), BooksFile(world.books))
        received_frames = ReceivedFrames()
        self.reader = SpoolReader(world.samples, received_frames.last)
        self.losses = LostRows(world.counters, received_frames, self.counters, self.reader.present)
        if journal == "off":
            self.journal = NoLog(tally)
        else:
            self.journal = PredictionLog(
                world.state, "epoch", tally, 1 << 30, 30, lambda: NOON, lambda *_: "sha256:0"
            )
        clock = lambda: NOON  # noqa: E731
        self.receiver = Receiver(
            [], self.journal, received_frames, clock, Featurizers({}), Segmenter()
        )

    def second(self):
        for frame in self.reader.read(1 << 20):
            self.receiver.take(frame.incarnation, frame.number, frame.content)
        self.receiver.commit(NOON)
        self.reader.remove_kept(lambda one: holds_counters(self.world.counters, one))
        self.losses.look()

    def die(self):
        self.counters.close()
        if isinstance(self.journal, PredictionLog) and self.journal._file is not None:
            self.journal._file.abandon()


class World:
    """The directories of a server, and who lives in it."""

    def __init__(self, root, journal):
        self.counters, self.samples = root / "counters", root / "samples"
        self.state, self.books = root / "state", root / "books.msgpack"
        for one in (self.counters, self.samples, self.state):
            one.mkdir(parents=True)
        self.kind = journal
        self.ids = itertools.count()
        self.worker, self.monitor = Worker(self), None
        self.lines = Lines(0, None)
        if journal == "unwritable":
            (self.state / "log").write_text("not a directory")

    def monitored(self):
        """A second of the monitor, or what it gets done of it; one that was killed starts anew."""
        with suppress(KilledError):
            self.lines.run(self._second)

    def _second(self):
        if self.monitor is None:
            self.monitor = Monitor(self, self.kind)
        self.monitor.second()

    def kill_monitor(self):
        if self.monitor is not None:
            self.monitor.die()
            self.monitor = None
        raise KilledError

    def replace_worker(self, rows=0):
        """The worker writes a last frame and dies; there is another, which goes on."""
        if rows:
            self.worker.answer(rows)
        self.worker.die()
        self.worker = Worker(self)
        self.worker.answer(2)

    def sampled(self):
        return merge(self.counters).blocks[LABELS]

    def story(self):
        """What happens in every run: two lives of a worker, and frames around them."""
        for rows in (3, 4):
            self.worker.answer(rows)
        self.monitored()
        self.worker.answer(5)
        self.replace_worker()
        self.monitored()
        self.worker.answer(6)
        self.monitored()

    def settle(self):
        """Everybody is dead, and the monitor has had time; what became of the rows."""
        self.worker.die()
        for _ in range(3):
            self.monitored()
        slots = self.sampled()
        dropped = sum(slots[layout.LOG_DROPPED : layout.LOG_LOST])
        written = self.rows()
        self.monitor.die()
        assert slots[layout.LOG_WRITTEN] == written
        parts = slots[layout.SAMPLED_ROWS_DROPPED], written, dropped, slots[layout.LOG_LOST]
        assert slots[layout.SAMPLED_ROWS] == sum(parts), parts
        assert not list(self.samples.iterdir())
        return parts

    def rows(self):
        if self.kind != "log":
            return 0
        path = next(self.state.glob("log/predictions-*.db"))
        with closing(sqlite3.connect(path)) as db:
            count, different = db.execute(
                'select count(*), count(distinct request_id) from "m"'
            ).fetchone()
        assert count == different
        return count


def worlds(tmp_path, journal):
    for number in itertools.count():
        yield World(tmp_path / str(number), journal)


def in_loop(function):
    """The sampler wants a running loop."""

    async def run():
        function()

    asyncio.run(run())


JOURNALS = ("log", "off", "unwritable")
#: Lines that are tried of each story; more by the environment: all of them takes minutes.
POINTS = int(os.environ.get("PENSTOCK_CRASH_POINTS", "25"))


def points(world):
    """Some of the lines that the monitor runs in a whole story."""
    world.story()
    seen = world.lines.seen
    assert world.settle()[3] == 0
    return sorted({1 + place * (seen - 1) // POINTS for place in range(POINTS)})


@pytest.mark.parametrize("journal", JOURNALS)
def test_a_monitor_killed_at_any_line_counts_each_row_once(tmp_path, journal):
    def check():
        many = worlds(tmp_path, journal)
        for at in points(next(many)):
            world = next(many)
            world.lines = Lines(at, world.kill_monitor)
            world.story()
            assert world.settle()[3] == 0, f"nobody lost a row at line {at}"

    in_loop(check)


@pytest.mark.parametrize("journal", JOURNALS)
def test_a_worker_that_ends_at_any_line_of_the_monitor_loses_nothing_it_has_written(
    tmp_path, journal
):
    def check():
        many = worlds(tmp_path, journal)
        for at in points(next(many)):
            world = next(many)
            world.lines = Lines(at, lambda world=world: world.replace_worker(rows=7))
            world.story()
            assert world.settle()[3] == 0, f"counted as lost at line {at}"

    in_loop(check)


def test_a_worker_killed_at_any_of_its_lines_loses_at_most_its_last_frame(tmp_path):
    def check():
        many = worlds(tmp_path, "log")
        whole = Lines(0, None)
        world = next(many)
        whole.run(lambda: world.worker.answer(5))
        losses = set()
        for at in range(1, whole.seen + 1, 2):
            world = next(many)
            world.worker.answer(3)

            def kill():
                raise KilledError

            with suppress(KilledError):
                Lines(at, kill).run(lambda world=world: world.worker.answer(5))
            world.worker.die()
            losses.add(world.settle()[3])
        assert losses == {0, 5}

    in_loop(check)


def test_accounts_of_the_dead_are_forgotten(tmp_path):
    def check():
        world = World(tmp_path, "log")
        for _ in range(20):
            world.replace_worker(rows=1)
            world.monitored()
        assert len(world.monitor.receiver._received_frames.accounts) <= 2
        world.settle()

    in_loop(check)


def test_a_frame_that_cannot_be_read_is_counted_by_its_heading(tmp_path):
    def check():
        world = World(tmp_path, "log")
        world.worker.answer(3)
        world.worker.counters.model(*LABELS).sampled(4)
        head = msgpack.packb([[*LABELS, 4]])
        assert world.worker.spool.append([head, b"\xc1 no msgpack"], 5.0)
        world.worker.answer(2)
        assert world.settle() == (0, 5, 4, 0)

    in_loop(check)
