"""Counters: what is written is what is read, whatever happens to the writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.layout import status_index
from penstock.monitoring.metrics.merge import BASE, MAX_FALLEN, fold, merge, snapshot
from penstock.monitoring.metrics.metrics import NO_MODEL, OVERFLOW, SUFFIX, CounterFile
from penstock.monitoring.metrics.request_figures import request_figures
from penstock.monitoring.metrics.runs_by_rows import runs_by_rows

if TYPE_CHECKING:
    from pathlib import Path

OK = status_index(200)
SECONDS = st.floats(0, 60, allow_nan=False)


def test_the_layout_fits_its_block():
    assert layout.LABEL_BYTES + 8 * layout.SLOTS <= layout.BLOCK_BYTES
    for bounds in (layout.NANOSECONDS, layout.ROWS):
        assert all(low < high for low, high in pairwise(bounds))


def test_a_model_loaded_again_continues_its_counters():
    counters = CounterFile.anonymous()
    counters.model("m", "1").observe_batch(4, 1000)
    counters.model("m", "1").observe_batch(4, 1000)
    assert snapshot(counters).blocks["m", "1"][layout.BATCH_ROWS.total] == 8


def test_runs_are_counted_by_their_rows():
    counters = CounterFile.anonymous()
    model = counters.model("m", "1")
    for rows in (1, 5, 5, 96, 97, 768):
        model.observe_batch(rows, 10 * rows)
    merged = snapshot(counters)
    assert runs_by_rows(merged.runs, "m", "1") == [
        (1, 1, 10), (5, 2, 100), (96, 1, 960), (97, 1, 970), (768, 1, 7680),
    ]  # fmt: skip
    assert runs_by_rows(merged.runs, "m", "2") == []


@pytest.mark.parametrize("rows", [0, layout.MOST_COUNTED_ROWS + 1, 1 << 40])
def test_runs_of_very_many_rows_are_only_counted_together(rows):
    counters = CounterFile.anonymous()
    for _ in range(2):
        counters.model("m", "1").observe_batch(rows, 10)
    merged = snapshot(counters)
    assert merged.runs == {}
    assert request_figures(merged.blocks["m", "1"])[-2:] == (2 * rows, 2)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=60))
def test_runs_by_rows_are_in_the_buckets_of_their_rows(sizes):
    counters = CounterFile.anonymous()
    for rows in sizes:
        counters.model("m", "1").observe_batch(rows, 1)
    buckets = [0] * (len(layout.ROWS) + 1)
    for rows in sizes:
        buckets[layout.BATCH_ROWS.bucket(rows)] += 1
    slots = snapshot(counters).blocks["m", "1"]
    assert slots[layout.BATCH_ROWS.first : layout.BATCH_ROWS.total] == buckets


def test_runs_outlive_their_processes_and_the_last_of_all_counts(tmp_path):
    def run(process, rows, at):
        counters = CounterFile.create(tmp_path, process)
        model = counters.model("m", "1")
        model._clock = lambda: at
        model.observe_batch(rows, 7)
        return counters

    run("worker-0", 5, 200).close()
    alive = run("worker-1", 5, 100)
    for _ in range(2):  # the second time from the base
        merged = fold(tmp_path)
        assert runs_by_rows(merged.runs, "m", "1") == [(5, 2, 14)]
        assert merged.blocks["m", "1"][layout.LAST_RUN] == 200
    alive.close()


def test_an_unknown_status_and_reason_count_as_other():
    counters = CounterFile.anonymous()
    counters.unmatched.observe_request(status_index(418), 10)
    counters.unmatched.drop("sunspots", 3)
    slots = snapshot(counters).blocks[NO_MODEL]
    assert slots[layout.STATUS + len(layout.STATUSES)] == 1
    assert slots[layout.drop_index("other")] == 3


def test_a_value_on_a_bound_belongs_to_its_bucket():
    counters = CounterFile.anonymous()
    counters.unmatched.observe_request(OK, layout.NANOSECONDS[3])
    assert snapshot(counters).blocks[NO_MODEL][layout.LATENCY.first + 3] == 1


@given(st.lists(SECONDS, min_size=1, max_size=70), SECONDS, SECONDS)
def test_a_batch_counts_like_its_requests_one_by_one(ages, queued, computed):
    arrivals = [100.0 - age for age in ages]
    formed_at = 100.0 + queued
    now = formed_at + computed
    together, alone = CounterFile.anonymous(), CounterFile.anonymous()
    together.unmatched.observe_many(OK, arrivals, formed_at, now)
    for arrival in arrivals:
        alone.unmatched.observe_many(OK, [arrival], formed_at, now)
    many, single = (snapshot(one).blocks[NO_MODEL] for one in (together, alone))
    assert many[OK] == single[OK] == len(ages)
    for histogram in (layout.LATENCY, layout.QUEUE):
        assert sum(many[histogram.first : histogram.total]) == len(ages)
        assert many[histogram.total] == pytest.approx(single[histogram.total], abs=1000)
        # A value within rounding of a bound may fall on either side of it.
        below_many = below_single = 0
        for bound, slot in zip(
            layout.SECONDS, range(histogram.first, histogram.total), strict=False
        ):
            below_many += many[slot]
            below_single += single[slot]
            end = now if histogram is layout.LATENCY else formed_at
            close = sum(abs(end - arrival - bound) < 1e-8 for arrival in arrivals)
            assert abs(below_many - below_single) <= close


def test_more_versions_than_blocks_share_the_overflow(monkeypatch):
    monkeypatch.setattr(layout, "MAX_BLOCKS", 3)
    counters = CounterFile.anonymous()
    counters.model("m", "1").enter()
    counters.model("m", "2").enter()
    counters.model("m", "3").enter()
    blocks = snapshot(counters).blocks
    assert blocks["m", "1"][layout.IN_FLIGHT] == 1
    assert blocks[OVERFLOW][layout.IN_FLIGHT] == 2
    assert set(blocks) == {NO_MODEL, OVERFLOW, ("m", "1")}


def test_a_name_too_long_for_its_label_shares_the_overflow():
    counters = CounterFile.anonymous()
    assert counters.model("m" * 600, "1") is counters.model(*OVERFLOW)


def test_a_full_disk_is_an_overflow_not_a_crash(tmp_path, monkeypatch):
    counters = CounterFile.create(tmp_path, "worker-0")

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    counters.model("m", "1").enter()
    assert merge(tmp_path).blocks[OVERFLOW][layout.IN_FLIGHT] == 1


def test_files_of_several_processes_add_up(tmp_path):
    first, second = (CounterFile.create(tmp_path, f"worker-{n}") for n in range(2))
    first.model("m", "1").observe_request(OK, 5)
    second.model("m", "1").observe_request(OK, 5)
    merged = merge(tmp_path)
    assert merged.blocks["m", "1"][OK] == 2
    assert [one.process for one in merged.live] == ["worker-0", "worker-1"]


def test_in_flight_of_the_dead_is_forgotten_and_their_counts_are_not(tmp_path):
    counters = CounterFile.create(tmp_path, "worker-0")
    counters.model("m", "1").observe_request(OK, 5)
    counters.model("m", "1").enter()
    counters.close()
    for merged in (merge(tmp_path), fold(tmp_path), fold(tmp_path)):
        assert merged.blocks["m", "1"][OK] == 1
        assert merged.blocks["m", "1"][layout.IN_FLIGHT] == 0
        assert merged.starts == {"worker-0": 1}
        assert not merged.live
    assert [path.name for path in tmp_path.iterdir()] == [BASE]


def test_who_died_amid_requests_is_remembered_with_what_it_was_doing(tmp_path):
    for version, entered, left in (("1", 3, 1), ("2", 5, 5)):
        counters = CounterFile.create(tmp_path, f"worker-{version}")
        counters.model("m", version).enter(entered)
        counters.model("m", version).leave(left)
        counters.close()
    running = CounterFile.create(tmp_path, "worker-0")
    running.model("m", "1").enter()
    for merged in (merge(tmp_path), fold(tmp_path), fold(tmp_path)):
        assert [(one.process, one.in_flight) for one in merged.fallen] == [
            ("worker-1", {("m", "1"): 2})
        ]
    for _ in range(MAX_FALLEN + 3):
        counters = CounterFile.create(tmp_path, "worker-9")
        counters.model("m", "1").enter()
        counters.close()
        merged = fold(tmp_path)
    assert [one.process for one in merged.fallen] == ["worker-9"] * MAX_FALLEN


def test_a_fold_killed_before_it_removes_files_counts_nothing_twice(tmp_path, monkeypatch):
    path_type = type(tmp_path)
    for _ in range(3):
        counters = CounterFile.create(tmp_path, "worker-0")
        counters.model("m", "1").observe_request(OK, 5)
        counters.close()

    class Killed(BaseException):
        pass

    def die(*_args, **_options):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(path_type, "unlink", die)
        with pytest.raises(Killed):
            fold(tmp_path)
    assert merge(tmp_path).blocks["m", "1"][OK] == 3
    with monkeypatch.context() as patch:
        patch.setattr(path_type, "replace", die)
        newcomer = CounterFile.create(tmp_path, "worker-0")
        newcomer.model("m", "1").observe_request(OK, 5)
        newcomer.close()
        with pytest.raises(Killed):
            fold(tmp_path)
    assert merge(tmp_path).blocks["m", "1"][OK] == 4
    assert fold(tmp_path).blocks["m", "1"][OK] == 4
    assert fold(tmp_path).starts == {"worker-0": 4}
    assert not list(tmp_path.glob(f"*{SUFFIX}"))


def test_files_that_are_not_ours_are_left_alone(tmp_path):
    stranger = tmp_path / f"notes{SUFFIX}"
    stranger.write_bytes(b"x" * 5000)
    assert fold(tmp_path).blocks == {}
    assert stranger.exists()


KILLED_WRITER = """
import sys
from pathlib import Path
from penstock.monitoring.metrics.layout import status_index
from penstock.monitoring.metrics.metrics import CounterFile
counters = CounterFile.create(Path(sys.argv[1]), "worker-0")
model = counters.model("m", "1")
ok = status_index(200)
for _ in range(12345):
    model.observe_request(ok, 1000)
print("done", flush=True)
sys.stdin.read()
"""


def test_a_writer_killed_with_sigkill_loses_nothing(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_WRITER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        assert merge(tmp_path).live[0].pid == process.pid
        process.send_signal(signal.SIGKILL)
        process.wait()
    merged = fold(tmp_path)
    assert not merged.live
    assert merged.blocks["m", "1"][OK] == 12345
