"""Damaged database files: set aside, begun anew, told of; and nobody ends for one."""

from __future__ import annotations

import os
import random
import sqlite3
from contextlib import closing, suppress

import numpy as np
import pytest

from penstock.monitoring.alert_rules.self_watch import SelfWatch
from penstock.monitoring.alerts.alert import Alert
from penstock.monitoring.alerts.alert_store import _CHECKED, AlertStore
from penstock.monitoring.alerts.alerts_file import AlertsFile
from penstock.monitoring.alerts.notifier import Notifier
from penstock.monitoring.alerts.reading import read_alerts, waiting_since
from penstock.monitoring.databases import KEEP, asides, is_damage, set_aside
from penstock.monitoring.feedback.label import Label
from penstock.monitoring.metrics.merge import snapshot
from penstock.monitoring.metrics.metrics import CounterFile
from penstock.monitoring.samples.samples import BatchSample
from penstock.server.config.config import ServerConfig
from penstock.server.monitor.drift_setup import watch_drift
from penstock.server.monitor.feedback_setup import feedback_store

NOW = 1_700_049_600.0


def batch(number, rows=300):
    return BatchSample(
        model="m",
        version="1",
        time=NOW + number,
        request_ids=[b"r%d-%d" % (number, one) for one in range(rows)],
        offsets=range(rows + 1),
        statuses=[200] * rows,
        latencies=[0.0] * rows,
        input_names=("x",),
        inputs=[np.random.default_rng(number).normal(size=(rows, 3))],
        output_names=("label",),
        outputs=[np.arange(rows) % 3],
        times=[NOW + number] * rows,
    )


class Truth:
    name = "truth.db"

    def __init__(self, state):
        self.kept = feedback_store(ServerConfig(), state / "target", state, lambda: NOW)

    def work(self, number):
        one = batch(number)
        self.kept.take([one])
        self.kept.tick(NOW + 20 * number)
        labels = [Label(name.decode(), 1, NOW) for name in one.request_ids[:50]]
        return (
            self.kept.use(lambda feedback_store: feedback_store.feedback(labels, NOW))["new"] == 50
        )

    def close(self):
        self.kept.close()


class Windows:
    name = "windows.db"

    def __init__(self, state):
        [self.kept] = watch_drift(state / "target", state, state, clock=lambda: NOW).consumers

    def work(self, number):
        for part in range(3):
            self.kept.take([batch(10 * number + part)])
        self.kept.tick(NOW + 100_000 * number)
        return self.kept.use(lambda one: one) is not None

    def close(self):
        self.kept.close()


class Alerts:
    name = "alerts.db"

    def __init__(self, state):
        self.path = state / self.name
        settings = AlertsFile(None)
        counters = CounterFile.anonymous("monitor")
        self.notifier = Notifier(self.path, settings)
        self.watch = SelfWatch(lambda: snapshot(counters), self.path, settings, 0.99)

    def work(self, number):
        for part in range(8):
            named = {"model": "m", "version": "1", "subject": f"x{part}", "summary": "s"}
            state = {"severity": "info", "opened": True, "time": NOW}
            AlertStore(self.path).put(Alert("drift", episode=f"{number}/{part}", **named, **state))
        self.notifier.tick(NOW + number)
        self.watch.tick(NOW + 100 * number)
        return read_alerts(self.path, 1)[0].alert.kind is not None

    def close(self):
        self.notifier.close()


STORES = (Truth, Windows, Alerts)


def flipped(path, dice):
    data = bytearray(path.read_bytes())
    for _ in range(dice.choice((1, 8, 200))):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def cut(path, dice):
    path.write_bytes(path.read_bytes()[: dice.randrange(path.stat().st_size)])


def emptied(path, _):
    path.write_bytes(b"")


def foreign(path, _):
    path.write_bytes(b"this is no database" * 500)


def zeros(path, dice):
    data = bytearray(path.read_bytes())
    start = dice.randrange(len(data)) & ~4095
    data[start : start + 4096] = bytes(len(data[start : start + 4096]))
    path.write_bytes(data)


def other_tables(path, _):
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        for name in ("windows", "watches", "labels", "slots", "meta", "alerts", "deliveries"):
            db.execute(f"create table {name} (void)")
        db.execute("pragma user_version = 1")
        db.commit()


def other_content(path, _):
    with closing(sqlite3.connect(path)) as db:
        tables = db.execute("select name from sqlite_master where type = 'table'").fetchall()
        for (name,) in tables:
            for column in db.execute(f"pragma table_info({name})").fetchall():
                if column[1] in {"state", "content", "findings", "evidence"}:
                    with suppress(sqlite3.Error):
                        db.execute(f"update {name} set {column[1]} = x'c1ff00'")
        db.commit()


DAMAGES = (flipped, cut, emptied, foreign, zeros, other_tables, other_content)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_never_ends_the_monitor_and_work_goes_on(tmp_path, store, damage):
    for seed in range(4 if damage in {flipped, cut, zeros} else 1):
        dice = random.Random(seed)
        state = tmp_path / str(seed)
        state.mkdir()
        first = store(state)
        for number in range(1, 4):
            assert first.work(number)
        first.close()
        for suffix in ("-wal", "-shm"):
            (state / f"{store.name}{suffix}").unlink(missing_ok=True)
        damage(state / store.name, dice)
        _CHECKED.clear()
        again = store(state)
        for number in range(4, 7):
            with suppress(sqlite3.Error):  # the receiver of samples logs it and goes on
                again.work(number)
        assert again.work(9), f"seed {seed}: it works no more"
        again.close()
        kept = [one.name for one in asides(state)]
        assert kept in ([], [store.name]), f"seed {seed}: one look is enough to heal it"
        if damage in {foreign, other_tables}:
            assert kept == [store.name]


@pytest.mark.parametrize("store", [Truth, Windows])
def test_damage_while_it_works_is_healed_too(tmp_path, store):
    kept = store(tmp_path)
    for number in range(1, 4):
        kept.work(number)
    for suffix in ("", "-wal"):
        with (tmp_path / f"{store.name}{suffix}").open("r+b") as file:
            size = file.seek(0, 2)
            file.seek(0)
            file.write(b"\xff" * size)
    for number in range(4, 9):
        with suppress(sqlite3.Error):
            kept.work(number)
    assert kept.work(9)
    kept.close()


@pytest.mark.parametrize("store", [Truth, Windows])
def test_a_locked_file_is_kept_and_tried_again(tmp_path, store, monkeypatch):
    monkeypatch.setattr("penstock.monitoring.feedback.schema.BUSY_SECONDS", 0.01)
    monkeypatch.setattr("penstock.monitoring.drift.store._BUSY_SECONDS", 0.01)
    path = tmp_path / store.name
    with closing(sqlite3.connect(path)) as other:
        other.execute("create table t (x)")
        other.commit()
        other.execute("begin exclusive")
        kept = store(tmp_path)
        with pytest.raises(sqlite3.OperationalError, match="cannot be opened now"):
            kept.kept.use(lambda one: one)
        other.rollback()
    kept.kept.tick(NOW + 60)
    assert kept.work(1)
    kept.close()
    assert asides(tmp_path) == []


def test_a_file_of_wrong_rights_or_a_full_disk_is_no_damage():
    for code, words in (
        (sqlite3.SQLITE_FULL, "database or disk is full"),
        (sqlite3.SQLITE_READONLY, "attempt to write a readonly database"),
        (sqlite3.SQLITE_BUSY, "database is locked"),
        (sqlite3.SQLITE_IOERR, "disk I/O error"),
        (sqlite3.SQLITE_CANTOPEN, "unable to open database file"),
    ):
        error = sqlite3.OperationalError(words)
        error.sqlite_errorcode = code
        assert not is_damage(error)


def test_few_damaged_files_stay_and_their_logs_go_with_them(tmp_path):
    path = tmp_path / "windows.db"
    for number in range(KEEP + 3):
        path.write_bytes(b"%d" % number)
        (tmp_path / "windows.db-wal").write_bytes(b"log")
        set_aside(path, clock=lambda: NOW)
    kept = asides(tmp_path)
    assert [one.path.read_bytes() for one in kept] == [b"3", b"4", b"5"]
    assert {one.time for one in kept} == {NOW}
    assert len(list(tmp_path.iterdir())) == 2 * KEEP


def test_two_processes_that_see_the_same_damage_set_one_file_aside(tmp_path):
    path = tmp_path / "alerts.db"
    path.write_bytes(b"damaged")
    seen = path.stat().st_ino
    assert set_aside(path, identity=seen) is not None
    path.write_bytes(b"new")
    held = os.open(path, os.O_RDONLY)
    if path.stat().st_ino != seen:  # the file system may give the number again
        assert set_aside(path, identity=seen) is None
        assert path.read_bytes() == b"new"
    os.close(held)


def test_the_alert_of_a_damaged_file_opens_and_is_over_when_nobody_keeps_it(tmp_path):
    (tmp_path / "truth.db").write_bytes(b"damaged")
    aside = set_aside(tmp_path / "truth.db", clock=lambda: NOW)
    alerts = Alerts(tmp_path)
    alerts.watch.tick(NOW + 10)
    (told,) = read_alerts(alerts.path, 5)
    assert (told.alert.kind, told.alert.subject, told.open) == (
        "monitor.degraded",
        "file truth.db",
        True,
    )
    assert aside.name in told.alert.summary
    aside.unlink()
    for number in range(2, 70):
        alerts.watch.tick(NOW + 20 * number)
    assert [one.open for one in read_alerts(alerts.path, 5)] == [False, False]
    assert waiting_since(alerts.path) == {}
