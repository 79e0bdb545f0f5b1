"""Erasing and sealing at the same time, begun at any step of each other: what is erased is gone."""

from __future__ import annotations

import sys
import threading
from functools import partial
from pathlib import Path

import duckdb
import pytest

from penstock.monitoring.prediction_log import erase as erase_module
from penstock.monitoring.prediction_log import log_directory
from penstock.monitoring.prediction_log import seal as seal_module
from penstock.monitoring.prediction_log.erase import erase
from penstock.monitoring.prediction_log.seal import seal

DAY = "2023-11-15"
POINTS = 8
FILES = {seal_module.__file__, erase_module.__file__, log_directory.__file__}


def steps(call, at=0, event=None):
    """Run something, and start `event` before its line with this number; returns all lines."""
    seen = 0

    def line(frame, what, _):
        nonlocal seen
        if what == "line":
            seen += 1
            if seen == at:
                event()
        return line

    sys.settrace(lambda frame, *_: line if frame.f_code.co_filename in FILES else None)
    try:
        call()
    finally:
        sys.settrace(None)
    return seen


def left(state):
    """Request ids of the day, wherever they are."""
    parts = [str(one) for one in Path(state).glob("parquet/model=m/dt=*/part-*.parquet")]
    found = []
    if parts:
        with duckdb.connect() as db:
            query = "select request_id from read_parquet(?)"
            found = [one for (one,) in db.execute(query, [parts]).fetchall()]
    return sorted(found)


@pytest.mark.parametrize("first", ["seal", "erase"])
def test_whichever_begins_first_the_rows_are_gone(bench, sample, first):
    calls = {
        "seal": lambda state: seal(state, DAY, 1 << 30),
        "erase": lambda state: erase(state, "m", "request_id", ["m-0-2"]),
    }
    other = "erase" if first == "seal" else "seal"
    log = bench()
    whole = None
    for at in range(POINTS + 1):
        for one in sorted(log.state.rglob("*"), reverse=True):
            one.unlink() if one.is_file() else one.rmdir()
        again = bench()
        again.take(sample(6))
        again.commit()
        again.log.close()
        state = again.state
        if whole is None:
            whole = steps(partial(calls[first], state))
            continue
        beside = threading.Thread(target=calls[other], args=(state,))

        def begin(beside=beside):
            beside.start()
            beside.join(0.3)  # it may have to wait for the lock, which this thread holds

        steps(partial(calls[first], state), max(1, at * whole // POINTS), begin)
        beside.join(30)
        assert not beside.is_alive()
        if again.day_file().exists():
            seal(state, DAY, 1 << 30)
        assert left(state) == ["m-0-0", "m-0-1", "m-0-3", "m-0-4", "m-0-5"], at
