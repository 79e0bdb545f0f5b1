"""The queue of batch jobs with a clock of its own, and what it finds on disk after a kill."""

from __future__ import annotations

import pytest

from penstock.server.batch_queue import queue as queue_module
from penstock.server.batch_queue.queue import JobQueue
from penstock.server.batch_queue.record import BatchRecord
from penstock.server.batch_queue.record_files import RecordFiles
from penstock.server.batch_queue.state import MOST_ATTEMPTS, State, pause_after
from penstock.server.errors import Conflict, NotFound, Unavailable


class Bench:
    """A queue on disk, which may be opened again, at a time that the test says."""

    def __init__(self, path, most=3):
        self.path, self.most, self.now = path / "batches", most, 1000.0
        self.open()

    def open(self):
        self.queue = JobQueue(RecordFiles(self.path), self.most, lambda: self.now)

    def add(self, number):
        record = BatchRecord(
            f"{number:016x}", 0, "m", "in.csv", f"out{number}.csv", "ann", self.now
        )
        return self.queue.add(record)

    def take(self):
        taken = self.queue.take()
        return None if taken is None else int(taken.id, 16)

    def state(self, number):
        return self.queue.find(f"{number:016x}").state


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_jobs_run_in_their_order_and_each_once(bench):
    assert bench.take() is None
    for number in (7, 2, 5):
        bench.add(number)
    assert [bench.take() for _ in range(4)] == [7, 2, 5, None]
    assert [one.state for one in bench.queue.records] == [State.RUNNING] * 3


def test_a_job_that_ran_when_the_server_was_killed_goes_first(bench):
    bench.add(1)
    bench.add(2)
    assert bench.take() == 1
    bench.queue.progress(f"{1:016x}", rows=10, answered_by="4")
    bench.open()
    bench.add(3)
    assert [bench.take() for _ in range(4)] == [1, 2, 3, None]
    assert bench.queue.find(f"{1:016x}").answered_by == "4"


def test_the_queue_is_bounded_and_two_jobs_never_write_one_output(bench):
    bench.add(1)
    with pytest.raises(Conflict, match=r"writes 'out1\.csv' already"):
        bench.add(1)
    bench.add(2)
    bench.add(3)
    with pytest.raises(Conflict, match="batch_queue allows 3"):
        bench.add(4)
    bench.queue.cancel(f"{2:016x}")
    bench.add(4)


def test_a_job_that_is_cancelled_keeps_its_output_until_its_process_is_gone(bench):
    record = bench.add(1)
    assert bench.take() == 1
    bench.queue.cancel(record.id)
    assert not bench.queue.progress(record.id, rows=5)
    with pytest.raises(Conflict, match="already"):
        bench.add(1)
    left = []

    def leave(one):
        left.append(one.state)

    ended = bench.queue.end(record.id, "killed", again=True, before=leave)
    assert [ended.state, *left] == [State.CANCELLED] * 2
    bench.queue.add(record.changed(id="f" * 16, state=State.QUEUED))
    with pytest.raises(Conflict, match="has ended: cancelled"):
        bench.queue.cancel(record.id)
    with pytest.raises(NotFound):
        bench.queue.cancel("e" * 16)


def test_a_job_that_breaks_off_is_tried_again_ever_later_and_fails_in_the_end(bench):
    record = bench.add(1)
    pauses = []
    for _ in range(MOST_ATTEMPTS):
        assert bench.take() == 1
        now = bench.queue.end(record.id, "the disk\nis full", again=True)
        if now.state is State.QUEUED:
            pauses.append(now.due - bench.now)
            bench.now = now.due - 0.001
            assert bench.take() is None
            assert bench.queue.due() == now.due
            bench.now = now.due
    assert (now.state, now.error) == (State.FAILED, "the disk is full")
    assert pauses == [pause_after(one) for one in range(1, MOST_ATTEMPTS)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 600.0


def test_a_new_row_begins_the_attempts_anew_and_a_lasting_error_ends_the_job(bench):
    record = bench.add(1)
    for _ in range(2 * MOST_ATTEMPTS):
        assert bench.take() == 1
        bench.queue.progress(record.id, rows=bench.queue.find(record.id).rows + 1)
        bench.now = bench.queue.end(record.id, "busy", again=True).due
    assert bench.take() == 1
    assert bench.queue.end(record.id, "no such column").state is State.FAILED
    bench.open()
    assert bench.state(1) is State.FAILED
    assert bench.queue.due() is None


def test_an_output_that_is_put_in_place_is_on_record_before_and_cannot_be_cancelled(bench):
    record = bench.add(1)
    bench.take()
    assert bench.queue.progress(record.id, rows=9, failed=2, whole=True)
    bench.open()
    assert bench.queue.find(record.id).whole
    with pytest.raises(Conflict, match="being put in place"):
        bench.queue.cancel(record.id)


def test_rows_are_counted_once(bench):
    record = bench.add(1)
    bench.take()
    bench.queue.progress(record.id, rows=10, failed=1)
    bench.queue.progress(record.id, rows=10, failed=1)
    bench.queue.progress(record.id, rows=30, failed=4)
    assert bench.queue.rows == {("m", "answered"): 26, ("m", "failed"): 4}


def test_nothing_changes_that_cannot_be_kept(bench, monkeypatch):
    record = bench.add(1)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RecordFiles, "write", full)
    for change in (bench.queue.take, lambda: bench.queue.cancel(record.id), lambda: bench.add(2)):
        with pytest.raises(Unavailable, match="No space left"):
            change()
    assert [one.state for one in bench.queue.records] == [State.QUEUED]


def test_ended_jobs_are_forgotten_from_the_oldest_on_and_damaged_records_left_out(
    bench, monkeypatch
):
    monkeypatch.setattr(queue_module, "MOST_ENDED", 2)
    for number in range(1, 6):
        record = bench.add(number)
        bench.take()
        bench.queue.end(record.id)
    bench.add(6)
    assert [int(one.id, 16) for one in bench.queue.records] == [6, 5, 4]
    (bench.path / f"{4:016x}.json").write_text('{"id": ')
    (bench.path / ".x.new").write_text("a draft of a kill")
    bench.open()
    assert [int(one.id, 16) for one in bench.queue.records] == [6, 5]
