"""The prediction log: what is written, what is counted, and what a disk that is not well costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from penstock.monitoring.databases import asides
from penstock.monitoring.metrics.layout import LOG_BYTES, LOG_WRITTEN
from penstock.monitoring.metrics.merge import snapshot
from penstock.monitoring.samples.received_frames import Account

DAY = 86_400.0


def test_each_row_has_its_columns(bench, sample):
    log = bench()
    log.take(
        sample(2, rows=2),
        sample(
            1,
            9,
            error="overloaded",
            statuses=[503],
            input_names=(),
            inputs=(),
            output_names=(),
            outputs=(),
        ),
    )
    log.commit()
    rows = log.select('select * from "m"')
    assert rows == [
        (1700049600.0, "m-0-0", 0, 3, None, 200, None, 0.25, 1.0, 0.0, 1.0, "w0", 0),
        (1700049600.0, "m-0-0", 1, 3, None, 200, None, 0.25, 1.0, 2.0, 3.0, "w1", 1),
        (1700049600.001, "m-0-1", 0, 3, None, 200, None, 0.25, 1.0, 4.0, 5.0, "w2", 2),
        (1700049600.001, "m-0-1", 1, 3, None, 200, None, 0.25, 1.0, 6.0, 7.0, "w3", 3),
        (1700049600.0, "m-9-0", 0, 3, None, 503, "overloaded", 0.25, 1.0, None, None, None, None),
    ]
    columns = [one[1] for one in log.select('pragma table_info("m")')]
    assert columns[9:] == ["x_0", "x_1", "word", "y"]
    assert log.select('select * from "penstock/versions"') == [("m", 3, "sha256:m/3")]
    assert log.counts() == (5, {})


def test_a_version_with_other_inputs_adds_columns(bench, sample):
    log = bench()
    log.take(sample(1))
    log.take(sample(1, 1, version="4", input_names=("age",), inputs=[np.array([7], np.int32)]))
    log.commit()
    assert log.select('select version, x_0, age from "m"') == [(3, 0.0, None), (4, None, 7)]


def test_models_may_be_called_anything(bench, sample):
    log = bench()
    for name in ('a"b', "select", "a-b.c", "ünïcode"):
        log.take(sample(1, model=name))
    log.commit()
    assert log.counts() == (4, {})
    assert log.select('select request_id from "a""b"') == [('a"b-0-0',)]


def test_rows_and_ledger_are_written_together(bench, sample):
    log = bench()
    log.take(sample(3))
    assert log.received_frames.changed == {"worker-0.1.1"}
    log.commit()
    assert log.received_frames.changed == set()
    again = bench()
    assert again.received_frames.accounts == {"worker-0.1.1": Account(1, {("m", "3"): 3})}


def test_what_was_written_but_not_counted_before_a_kill_is_counted_after_it(bench, sample):
    log = bench()
    log.take(sample(3))
    log.commit()
    log.take(sample(2, 1))
    log.log._write(log.received_frames)  # committed, and killed before it could be counted
    log.log._file.abandon()
    log.log._file = None
    assert log.counts() == (3, {})
    counted = {("m", "3", LOG_WRITTEN): 3}
    log.open("epoch", counted).restore()
    assert log.counts() == (5, {})


def test_another_run_of_the_server_starts_its_own_ledger(bench, sample):
    log = bench()
    log.take(sample(3))
    log.commit()
    log.state.with_name("books.msgpack").unlink()
    assert log.open("later", {}).restore() == {}
    assert log.counts() == (3, {})


def test_a_new_day_begins_a_new_file_with_all_of_the_ledger(bench, sample):
    log = bench()
    log.take(sample(3))
    log.commit()
    log.received_frames.receive("worker-1.1.1", 8, {("m", "3"): 1})
    log.commit()
    log.now += DAY
    log.commit()
    log.take(sample(2, 1))
    log.commit()
    assert log.select('select count(*) from "m"') == [(3,)]
    assert log.select('select count(*) from "m"', "2023-11-16") == [(2,)]
    found = log.select('select incarnation, last, rows from "penstock/ledger"', "2023-11-16")
    assert found == [("worker-0.1.1", 2, 5), ("worker-1.1.1", 8, 1)]
    log.day_file().unlink()
    assert bench().received_frames.last("worker-1.1.1") == 8


def test_days_beyond_the_limit_are_removed(bench, sample):
    log = bench(max_days=3)
    for _ in range(5):
        log.take(sample(1))
        log.commit(DAY)
        log.commit()
    days = sorted(one.name[12:22] for one in (log.state / "log").glob("*.db"))
    assert days == ["2023-11-18", "2023-11-19", "2023-11-20"]


def test_the_directory_never_grows_over_its_limit(bench, sample):
    limit = 4 << 20
    log = bench(max_bytes=limit)
    rng = np.random.default_rng(0)
    taken = largest = 0
    for second in range(120):
        ids = [rng.bytes(12).hex().encode() for _ in range(100)]
        x = rng.random((100, 30)).astype(np.float32)
        inputs = [x, np.full((100, 1), b"w" * 100, dtype=object)]
        taken += log.take(sample(100, second, request_ids=ids, inputs=inputs))
        largest = max(largest, log.size())
        log.commit(600)
        largest = max(largest, log.size())
    written, dropped = log.counts()
    assert limit / 3 < largest <= limit
    assert set(dropped) <= {"limit", "thinned"}
    assert sum(dropped.values()) > 0
    assert written + sum(dropped.values()) == taken
    assert snapshot(log.counters).live[0].gauges[LOG_BYTES] <= limit


def test_older_days_make_room_for_the_present_one(bench, sample):
    log = bench(max_bytes=2 << 20)
    for day in range(5):
        for number in range(20):
            log.take(sample(100, 100 * day + number))
            log.commit()
        log.commit(DAY)
    log.take(sample(1))
    log.commit()
    assert log.day_file("2023-11-20").exists()
    assert not log.day_file("2023-11-15").exists()


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_what_is_thinned_is_chosen_by_request_and_says_so(bench, sample, share):
    log = bench()
    log.log._share = share
    ids = [b"%x" % number for number in range(0x1000, 0x1400)]
    log.take(sample(1024, rows=2, request_ids=ids, fraction=0.5))
    log.commit()
    written, dropped = log.counts()
    assert written == pytest.approx(2048 * share, rel=0.15)
    assert written + dropped.get("thinned", 0) == 2048
    assert log.select('select distinct fraction from "m"') == [(0.5 * share,)]
    assert log.select('select count(*) from "m" group by request_id having count(*) <> 2') == []


def test_a_damaged_day_file_is_moved_aside_and_the_log_goes_on(bench, sample):
    log = bench()
    log.take(sample(3))
    log.commit()
    log.log.close()
    log.day_file().write_bytes(b"this is no database" * 1000)
    again = bench()
    again.take(sample(2, 1))
    again.commit()
    assert again.counts() == (3, {"damaged": 2})  # three as counted by the life before
    again.take(sample(4, 2))
    again.commit()
    assert again.counts() == (7, {"damaged": 2})
    assert again.select('select count(*) from "m"') == [(4,)]
    assert [one.name for one in asides(again.state / "log")] == [again.day_file().name]
    assert again.received_frames.last("worker-0.1.1") == 2
    assert again.received_frames.changed == set()


def test_damage_in_the_middle_of_a_day_costs_a_transaction(bench, sample):
    log = bench()
    for number in range(50):
        log.take(sample(100, number))
        log.commit()
    log.log.close()
    content = bytearray(log.day_file().read_bytes())
    for page in range(4, len(content) // 4096):
        content[page * 4096 : page * 4096 + 200] = b"\xff" * 200
    log.day_file().write_bytes(content)
    again = bench()
    taken = 5000  # counted anew: these counters have not seen them
    for number in range(30):
        taken += again.take(sample(100, 100 + number))
        again.commit(2)
    written, dropped = again.counts()
    assert written + sum(dropped.values()) == taken
    assert set(dropped) == {"damaged"}
    assert written >= 7800


def test_a_directory_that_cannot_be_made_costs_rows_and_nothing_else(bench, sample):
    log = bench()
    log.state.parent.joinpath("monitor").write_text("in the way")
    log.take(sample(3))
    log.commit()
    assert log.counts() == (0, {"unwritable": 3})
    log.state.unlink()
    log.take(sample(2, 1))  # within a second of the fault: not even tried
    log.commit(2)
    log.take(sample(4, 2))
    log.commit()
    written, dropped = log.counts()
    assert (written, sum(dropped.values())) == (4, 5)


FULL_DISK = """
import sys, resource, signal
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from conftest import Bench, make_sample
import numpy as np
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = Bench(Path(sys.argv[1]), max_bytes=256 << 20)
width = int(sys.argv[3])
taken = 0
for number in range(40):
    if number == 10:
        size = max(path.stat().st_size for path in (log.state / "log").iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50_000, resource.RLIM_INFINITY))
    if number == 30:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    inputs = [np.full((100, width), number, np.uint8), None]
    taken += log.take(make_sample(100, number, inputs=inputs))
    log.commit(2)
log.log.close()
written, dropped = log.counts()
rows = log.select('select count(*) from "m"')[0][0]
print(taken, written, rows, sum(dropped.values()), *dropped)
"""


@pytest.mark.parametrize("width", [2, 3000, 30_000])
def test_a_full_disk_costs_rows_and_nothing_else(tmp_path, width):
    """A limit on the size of files, which the kernel enforces, stands in for a full disk."""
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path / "monitor", here, str(width)],
        capture_output=True,
        text=True,
        check=True,
    )
    taken, written, rows, dropped, *reasons = done.stdout.split()
    assert int(taken) == int(written) + int(dropped) == 4000
    assert written == rows
    assert 100 <= int(dropped) <= 3000
    assert set(reasons) <= {"disk_full", "unwritable", "limit"}


def test_a_frame_that_cannot_be_read_is_counted(bench):
    log = bench()
    log.log.append([], {("m", "3"): 7})
    log.commit()
    assert log.counts() == (0, {"unreadable": 7})


def test_rows_with_more_columns_than_a_table_has_are_counted(bench, sample):
    log = bench()
    for number in range(3):
        names = tuple(f"a{number}_{one}" for one in range(900))
        log.take(sample(1, number, input_names=names, inputs=[np.zeros(1, np.float32)] * 900))
        log.commit()
    written, dropped = log.counts()
    assert dropped == {"unreadable": 1}
    assert written == 2


def test_one_sample_with_a_value_that_is_none_of_sqlites_does_not_take_the_others_along(
    bench, sample
):
    log = bench()
    odd = sample(2, 1, inputs=[None, np.array(["\ud800", "b"], object).reshape(2, 1)])
    log.take(sample(3), odd, sample(1, 2))
    log.commit()
    assert log.counts() == (4, {"unreadable": 2})
    assert log.select('select count(*) from "m"') == [(4,)]
