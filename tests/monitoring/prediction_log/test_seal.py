"""Sealing: what was logged is in the Parquet files, once, whenever it was interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import duckdb
import numpy as np
import pytest

from penstock.monitoring.prediction_log import seal as module
from penstock.monitoring.prediction_log.log_directory import LogDirectory
from penstock.monitoring.prediction_log.query import query
from penstock.monitoring.prediction_log.seal import NoRoom, seal
from penstock.monitoring.prediction_log.sealer import Sealer

DAY = 86_400.0
YESTERDAY = "2023-11-15"


@pytest.fixture
def yesterday(bench, sample):
    log = bench()
    for number in range(20):
        log.take(sample(100, number), sample(10, number, model="a/b"))
    log.commit()
    log.commit(DAY)
    log.take(sample(5, 99))
    log.commit()
    return log


def test_partitions_are_named_as_hive_has_them(yesterday, monkeypatch):
    monkeypatch.setattr(module, "PART_ROWS", 1)
    monkeypatch.setattr("penstock.monitoring.prediction_log.reader.CHUNK_ROWS", 300)
    assert seal(yesterday.state, YESTERDAY, 1 << 30) == 2200
    root = yesterday.state / "parquet"
    parts = sorted(str(one.relative_to(root)) for one in root.rglob("*.parquet"))
    assert parts[0] == f"model=a%2Fb/dt={YESTERDAY}/part-0000.parquet"
    assert parts[1:] == [f"model=m/dt={YESTERDAY}/part-{n:04d}.parquet" for n in range(7)]
    found = duckdb.sql(f"select count(*), sum(x_1) from '{root}/model=m/*/*.parquet'").fetchall()
    assert found == [(2000, 20 * float(np.arange(1, 200, 2).sum()))]
    one_file = root / f"model=m/dt={YESTERDAY}/part-0000.parquet"
    kinds = duckdb.sql(
        f"describe select * from read_parquet('{one_file}', hive_partitioning = false)"
    ).fetchall()
    assert dict(one[:2] for one in kinds) == {
        "time": "DOUBLE",
        "request_id": "VARCHAR",
        "row": "BIGINT",
        "version": "BIGINT",
        "arm": "VARCHAR",
        "status": "BIGINT",
        "error": "VARCHAR",
        "latency": "DOUBLE",
        "fraction": "DOUBLE",
        "x_0": "DOUBLE",
        "x_1": "DOUBLE",
        "word": "VARCHAR",
        "y": "BIGINT",
        "digest": "VARCHAR",
    }


def test_an_interrupted_seal_is_begun_anew_and_nothing_is_seen_twice(yesterday, monkeypatch):
    count = "select count(*) from predictions"

    def fail(path):
        if path.name == "model=m":
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "sync", fail)
    with pytest.raises(KeyboardInterrupt):
        seal(yesterday.state, YESTERDAY, 1 << 30)
    monkeypatch.undo()
    assert yesterday.day_file(YESTERDAY).exists()
    assert query(yesterday.state, count, 1, "duckdb").rows == [(2205,)]
    seal(yesterday.state, YESTERDAY, 1 << 30)
    assert query(yesterday.state, count, 1, "duckdb").rows == [(2205,)]
    assert not list((yesterday.state / "parquet").glob(".sealing*"))


def test_without_room_the_day_file_stays(yesterday):
    with pytest.raises(NoRoom):
        seal(yesterday.state, YESTERDAY, yesterday.size() + 1000)
    assert yesterday.day_file(YESTERDAY).exists()
    assert not (yesterday.state / "parquet" / "model=m").exists()


def test_a_sealed_day_counts_and_is_the_first_to_go(yesterday):
    seal(yesterday.state, YESTERDAY, 1 << 30)
    directory = LogDirectory(yesterday.state)
    before = directory.used_bytes()
    assert directory.drop_oldest("2023-11-16") == YESTERDAY
    assert directory.used_bytes() < before
    assert directory.drop_oldest("2023-11-16") is None
    assert yesterday.day_file("2023-11-16").exists()


def test_the_sealer_seals_past_days_and_not_the_present_one(yesterday):
    sealer = Sealer(yesterday.state, 1 << 30)
    sealer.tick(yesterday.now)
    sealer._process.wait(60)
    sealer.tick(yesterday.now)
    sealer.tick(yesterday.now + 1000)
    assert sealer._process is None
    assert not yesterday.day_file(YESTERDAY).exists()
    assert yesterday.day_file("2023-11-16").exists()
    sealer.close()


def test_a_seal_killed_at_any_time_loses_nothing(yesterday):
    command = [sys.executable, "-m", "penstock.monitoring.prediction_log.seal"]
    for pause in (0.3, 0.4, 0.5):
        process = subprocess.Popen([*command, yesterday.state, YESTERDAY, str(1 << 30)])
        time.sleep(pause)  # not a wait for anything: the kill should come at some moment
        process.send_signal(signal.SIGKILL)
        process.wait()
        rows = query(yesterday.state, "select count(*) from predictions", 1, "duckdb").rows
        assert rows == [(2205,)]
