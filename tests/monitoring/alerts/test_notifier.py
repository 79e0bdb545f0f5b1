"""Deliveries to a real receiver: told once, in order, retried, bounded, across restarts."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from penstock.monitoring.alerts.alert import Alert
from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.monitoring.alerts.alerts_file import AlertsFile
from penstock.monitoring.alerts.mutes import MAX_MUTES, Mute, MutesFile, TooManyMutes
from penstock.monitoring.alerts.notifier import Notifier
from penstock.monitoring.alerts.reading import read_alerts

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_930_000_001.0


class Town:
    """An alert store, an alerts file, a notifier and a clock that is moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "alerts.db"
        self.file = folder / "alerts.toml"
        self.alert_store = AlertStore(self.path)
        self.now = NOW
        self.mutes = MutesFile(folder / "mutes.json")  # that of the process which writes it
        self.start()

    def mute(self, seconds: float, **changes: Any) -> Mute:
        known = {"id": f"{len(self.mutes.current())}", "model": "churn", "kind": "drift"}
        known |= {"version": "", "by": "ann", "reason": "a new shop", **changes}
        mute = Mute(since=self.now, until=self.now + seconds, **known)
        self.mutes.add(mute)
        return mute

    def start(self) -> None:
        self.notifier = Notifier(
            self.path, AlertsFile(self.file), jitter=lambda: 1.0, mutes=MutesFile(self.mutes.path)
        )

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def tick(self, seconds: float = 0.0) -> None:
        """Time passes, and the courier works until nothing is under way."""
        self.now += seconds
        for _ in range(20):
            self.notifier.tick(self.now)
            for thread in threading.enumerate():
                if thread.name.startswith("alert-"):
                    thread.join(0.5)
            if not self.notifier._running:
                self.notifier.tick(self.now)  # also what waited for what was under way
                if not self.notifier._running:
                    return

    def results(self, sink: str = "hook") -> list[tuple[str, int, str]]:
        """Status, attempts and detail per alert, oldest first."""
        return [
            (one.status, one.attempts, one.detail)
            for told in reversed(read_alerts(self.path, 100))
            for one in told.deliveries
            if one.sink == sink
        ]


@pytest.fixture
def town(tmp_path: Path, receiver: Any) -> Iterator[Town]:
    town = Town(tmp_path)
    town.write(f'[sinks.hook]\nurl = "{receiver.url}/x"\ntimeout_seconds = 0.5\n')
    yield town
    town.notifier.close()


Make = Callable[..., Alert]


def test_an_alert_is_told_once(town: Town, receiver: Any, an_alert: Make) -> None:
    town.alert_store.put(an_alert())
    town.tick()
    town.tick(1)
    town.alert_store.put(an_alert())
    town.tick(1)
    assert [one.path for one in receiver.received] == ["/x"]
    assert town.results() == [("delivered", 1, "200 ok")]


def test_an_episode_is_told_in_order(town: Town, receiver: Any, an_alert: Make) -> None:
    town.alert_store.put(an_alert())
    town.alert_store.put(an_alert(opened=False))
    town.tick()
    town.tick(1)
    assert [one.json["type"] for one in receiver.received] == [
        "penstock.drift.opened",
        "penstock.drift.closed",
    ]


def test_an_error_is_tried_again_with_the_same_id(
    town: Town, receiver: Any, an_alert: Make
) -> None:
    receiver.answer(500, 200)
    town.alert_store.put(an_alert())
    town.alert_store.put(an_alert(opened=False))
    town.tick()
    assert town.results() == [("pending", 1, "500"), ("pending", 0, "")]
    town.tick(0.5)
    assert len(receiver.received) == 1  # the end waits for the beginning
    town.tick(0.6)
    assert town.results() == [("delivered", 2, "200"), ("delivered", 1, "200")]
    first, second, third = receiver.received
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.headers["idempotency-key"] != third.headers["idempotency-key"]
    assert first.body == second.body


def test_pauses_grow_and_attempts_end(town: Town, receiver: Any, an_alert: Make) -> None:
    town.write(f'[sinks.hook]\nurl = "{receiver.url}"\nmax_attempts = 5\n')
    receiver.answer(503)
    town.alert_store.put(an_alert())
    town.alert_store.put(an_alert(opened=False))
    made = []
    for _ in range(60):
        town.tick(0.5)
        made.append(len(receiver.received))
    assert [made.count(number) for number in (1, 2, 3, 4)] == [2, 4, 8, 16]
    assert town.results() == [
        ("failed", 5, "503; given up after 5 attempts"),
        ("skipped", 0, "its opening was not delivered"),
    ]


def test_retry_after_is_honoured(town: Town, receiver: Any, an_alert: Make) -> None:
    receiver.answer(429, 200, headers={"Retry-After": "30"})
    town.alert_store.put(an_alert())
    town.tick()
    town.tick(29)
    assert len(receiver.received) == 1
    town.tick(2)
    assert len(receiver.received) == 2


@pytest.mark.parametrize("status", [302, 400, 410])
def test_what_will_not_change_is_not_tried_again(
    town: Town, receiver: Any, an_alert: Make, status: int
) -> None:
    receiver.answer(status, headers={"Location": f"{receiver.url}/elsewhere"})
    town.alert_store.put(an_alert())
    town.tick()
    town.tick(5000)
    assert [one.path for one in receiver.received] == ["/x"]  # no redirect is followed
    assert town.results() == [("failed", 1, f"{status}; not tried again")]


def test_a_receiver_that_is_not_there_is_tried_until_the_alert_is_old(
    town: Town, an_alert: Make
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    town.write(f'[sinks.hook]\nurl = "http://127.0.0.1:{port}"\nmax_age_seconds = 3600\n')
    town.alert_store.put(an_alert())
    town.tick()
    status, attempts, detail = town.results()[0]
    assert (status, attempts) == ("pending", 1)
    assert "refused" in detail
    for _ in range(8):
        town.tick(900)
    status, _, detail = town.results()[0]
    assert status == "failed"
    assert detail.endswith("given up, too old")


def test_a_receiver_that_hangs_delays_nobody(town: Town, receiver: Any, an_alert: Make) -> None:
    receiver.slow = True
    town.alert_store.put(an_alert())
    began = time.perf_counter()
    town.notifier.tick(town.now)
    town.notifier.tick(town.now + 1)
    assert time.perf_counter() - began < 0.4  # below the timeout: nobody waited
    town.tick(1)
    status, attempts, detail = town.results()[0]
    assert (status, attempts) == ("pending", 1)
    assert "timed out" in detail
    assert town.results("log") == [("delivered", 1, "logged")]


def test_an_attempt_that_never_comes_back_is_left_to_itself(tmp_path: Path, an_alert: Make) -> None:
    """A name server that hangs cannot be interrupted: the attempt counts as failed."""
    stuck = threading.Event()
    town = Town(tmp_path)
    town.write('[sinks.hook]\nurl = "http://127.0.0.1:1"\n')
    calls = []

    def post(alert: Alert, sink: Any, *_: Any) -> Any:
        calls.append(sink.name)
        stuck.wait(60)
        raise OSError("woken")

    town.notifier = Notifier(town.path, AlertsFile(town.file), post, lambda: 1.0)
    town.alert_store.put(an_alert())
    town.notifier.tick(NOW)
    town.notifier.tick(NOW + 16)
    assert town.results()[0][::2] == ("pending", "no answer in time")
    for later in range(17, 60):
        town.notifier.tick(NOW + later)
    assert calls.count("hook") == 1  # never a second one beside it
    stuck.set()
    town.notifier.close()


def test_a_restart_loses_nothing_and_doubles_nothing(
    town: Town, receiver: Any, an_alert: Make
) -> None:
    receiver.answer(200, 500, 200)
    for number in range(3):
        town.alert_store.put(an_alert(f"e{number}"))
    town.tick()
    for _ in range(5):
        town.notifier.close()
        town.start()
        town.tick(2)
    assert [one[:2] for one in town.results()] == [
        ("delivered", 1),
        ("delivered", 2),
        ("delivered", 1),
    ]
    assert len(receiver.received) == 4


def test_a_trigger_asks_once_per_model_and_cool_down(
    town: Town, receiver: Any, an_alert: Make
) -> None:
    town.write(
        f'[sinks.hook]\ntemplate = "airflow"\nurl = "{receiver.url}"\ndag = "retrain"\n'
        "cooldown_seconds = 3600\n"
    )
    town.alert_store.put(an_alert("e1"))
    town.alert_store.put(an_alert("e2", subject="income"))
    town.alert_store.put(an_alert("e3", model="fraud"))
    town.tick()
    town.alert_store.put(an_alert("e1", opened=False))
    town.tick(1800)
    town.alert_store.put(an_alert("e4"))
    town.tick(1)
    town.alert_store.put(an_alert("e5", time=NOW + 3700))
    town.tick(1900)
    assert [one[0] for one in town.results()] == [
        "delivered", "skipped", "delivered", "skipped", "delivered",
    ]  # fmt: skip
    assert len(receiver.received) == 3


def test_a_run_that_exists_was_asked_for_before(town: Town, receiver: Any, an_alert: Make) -> None:
    town.write(f'[sinks.hook]\ntemplate = "airflow"\nurl = "{receiver.url}"\ndag = "retrain"\n')
    receiver.answer(409)
    town.alert_store.put(an_alert())
    town.tick()
    assert town.results() == [("delivered", 1, "409, had it already")]


def test_sinks_are_told_what_they_want(town: Town, receiver: Any, an_alert: Make) -> None:
    town.write(
        f'[sinks.hook]\nurl = "{receiver.url}"\nkinds = ["drift"]\nmodels = ["ch*"]\n'
        'min_severity = "critical"\n'
    )
    town.alert_store.put(an_alert("e1"))
    town.alert_store.put(an_alert("e2", severity="critical"))
    town.alert_store.put(an_alert("e3", severity="critical", model="fraud"))
    town.alert_store.put(an_alert("e4", severity="critical", kind="quality"))
    town.alert_store.put(an_alert("e5", kind="test", subject="other"))
    town.alert_store.put(an_alert("e6", kind="test", subject="hook", severity="info"))
    for _ in range(3):
        town.tick(1)
    assert [one.json["data"]["episode"] for one in receiver.received] == ["e2", "e6"]


def test_the_file_is_read_again_and_a_bad_one_is_not_used(
    town: Town, receiver: Any, an_alert: Make, caplog: pytest.LogCaptureFixture
) -> None:
    town.tick()
    town.write("[sinks.hook\n")
    town.alert_store.put(an_alert("e1"))
    town.tick(1)
    assert len(receiver.received) == 1
    assert "not valid TOML" in caplog.text
    receiver.answer(500)
    town.alert_store.put(an_alert("e2"))
    town.tick(1)
    town.write("")
    town.tick(2)
    assert town.results()[-1] == ("failed", 1, "there is no such sink any more")


def test_every_alert_is_in_the_log(
    tmp_path: Path, an_alert: Make, caplog: pytest.LogCaptureFixture
) -> None:
    town = Town(tmp_path)
    town.notifier = Notifier(town.path, AlertsFile(None))
    with caplog.at_level("INFO", "penstock.alerts"):
        town.alert_store.put(an_alert())
        town.tick()
    town.notifier.close()
    assert [(one.levelname, one.getMessage()[:14]) for one in caplog.records] == [
        ("WARNING", "drift.opened: ")
    ]


def test_nothing_to_tell_costs_no_look_into_the_file(
    town: Town, an_alert: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.alert_store.put(an_alert())
    for _ in range(4):
        town.tick(1)
    opened = []
    monkeypatch.setattr("penstock.monitoring.alerts.deliveries.opened", opened.append)
    for _ in range(10):
        town.notifier.tick(town.now)
    assert opened == []


def types(receiver: Any) -> list[str]:
    return [one.json["type"].removeprefix("penstock.") for one in receiver.received]


def test_what_opens_under_a_mute_is_told_at_its_end_if_it_is_still_open(
    town: Town, receiver: Any, an_alert: Make
) -> None:
    town.mute(3600)
    town.alert_store.put(an_alert())
    town.alert_store.put(an_alert("drift/churn/3//age/18"))
    town.tick()
    told = ("muted", 0, "muted by ann until 2031-02-28 00:06 UTC")
    assert town.results() == [told, told]
    town.alert_store.put(an_alert(opened=False))
    town.tick(3598)
    assert receiver.received == []
    over = ("skipped", 0, "muted, and over before the mute was")
    assert town.results() == [over, told, over]
    town.start()  # the monitor of another life
    town.tick(3)
    assert types(receiver) == ["drift.opened"]
    town.alert_store.put(an_alert("drift/churn/3//age/18", opened=False))
    town.tick()
    assert types(receiver) == ["drift.opened", "drift.closed"]


def test_a_mute_ends_before_its_time_or_lasts_longer(
    town: Town, receiver: Any, an_alert: Make
) -> None:
    first = town.mute(100)
    town.alert_store.put(an_alert())
    town.tick()
    second = town.mute(500, version="3")
    town.tick(200)  # the first is over, the second holds
    assert receiver.received == []
    town.mutes.remove(first)
    town.tick(1)
    assert receiver.received == []
    town.mutes.remove(second)
    town.tick(1)
    assert types(receiver) == ["drift.opened"]


@pytest.mark.parametrize(
    "other", [{"model": "fraud"}, {"kind": "dri"}, {"kind": "quality"}, {"version": "4"}]
)
def test_a_mute_of_something_else_holds_nothing(
    town: Town, receiver: Any, an_alert: Make, other: dict[str, str]
) -> None:
    town.mute(100, **other)
    town.alert_store.put(an_alert())
    town.tick()
    assert types(receiver) == ["drift.opened"]


def of_features(alert: Alert, *names: str, number: int = 0) -> Alert:
    """The alert of an incident that names these features; of more, if `number` is more."""
    features = [{"feature": f"the input {name}", "name": name} for name in names]
    evidence = {"features": features, "number": max(number, len(names))}
    return replace(alert, subject=f"{names[0]} and others", evidence=evidence)


def test_an_alert_of_several_features_is_held_while_each_of_them_is_muted(
    town: Town, receiver: Any, an_alert: Make
) -> None:
    town.mute(1000, feature="age")
    town.mute(100, feature="income")
    town.alert_store.put(of_features(an_alert(), "age", "income"))
    town.tick()
    assert town.results() == [("muted", 0, "muted by ann until 2031-02-27 23:08 UTC")]
    town.tick(200)  # one of the mutes is over
    assert types(receiver) == ["drift.opened"]


@pytest.mark.parametrize("muted", ["age", "the input age"])
def test_a_feature_is_muted_by_its_name_or_as_its_alert_calls_it(
    town: Town, receiver: Any, an_alert: Make, muted: str
) -> None:
    town.mute(100, feature=muted)
    town.alert_store.put(of_features(an_alert(), "age"))
    town.tick()
    assert receiver.received == []


def test_a_field_is_muted_by_the_subject_of_its_alert(
    town: Town, receiver: Any, an_alert: Make
) -> None:
    town.mute(100, kind="quality", feature="age")
    for name in ("age", "income"):
        alert = replace(an_alert(f"quality/{name}"), kind="quality", subject=name, evidence={})
        town.alert_store.put(alert)
    town.tick()
    assert [one.json["data"]["subject"] for one in receiver.received] == ["income"]


@pytest.mark.parametrize(
    ("names", "number"), [(("income",), 1), (("age", "income"), 2), (("age",), 21)]
)
def test_an_alert_of_a_feature_that_is_not_muted_is_told(
    town: Town, receiver: Any, an_alert: Make, names: tuple[str, ...], number: int
) -> None:
    town.mute(100, feature="age")
    town.alert_store.put(of_features(an_alert(), *names, number=number))
    town.tick()
    assert types(receiver) == ["drift.opened"]


def test_the_end_of_what_was_told_is_told_under_a_mute(
    town: Town, receiver: Any, an_alert: Make
) -> None:
    town.alert_store.put(an_alert())
    town.tick()
    town.mute(100)
    town.alert_store.put(an_alert(opened=False))
    town.tick(1)
    assert types(receiver) == ["drift.opened", "drift.closed"]


def test_a_long_mute_does_not_make_an_alert_too_old(
    town: Town, receiver: Any, an_alert: Make
) -> None:
    receiver.answer(500, 200)
    town.mute(7 * 86_400.0)
    town.alert_store.put(an_alert())
    town.tick()
    town.tick(7 * 86_400.0)
    assert [one[:2] for one in town.results()] == [("pending", 1)]
    town.tick(2)
    assert [one[:2] for one in town.results()] == [("delivered", 2)]


def test_as_many_mutes_as_there_may_be_with_long_reasons_are_read_again(town: Town) -> None:
    for number in range(MAX_MUTES):
        town.mute(100, id=str(number), reason="\x07" * 4096)
    assert len(MutesFile(town.mutes.path).current()) == MAX_MUTES


def test_mutes_are_bounded_and_a_damaged_file_mutes_nothing(
    town: Town, receiver: Any, an_alert: Make
) -> None:
    for _ in range(MAX_MUTES):
        town.mute(100)
    with pytest.raises(TooManyMutes):
        town.mute(100)
    town.mutes.path.write_text("{")
    town.alert_store.put(an_alert())
    town.tick()
    assert types(receiver) == ["drift.opened"]
    town.tick(200)
    town.mute(10)  # a new file, without those that are over
    assert len(town.mutes.current()) == 1


def test_a_store_of_the_release_before_is_taken_over(
    town: Town, receiver: Any, an_alert: Make
) -> None:
    town.alert_store.put(an_alert())
    with sqlite3.connect(town.path) as store:
        store.execute("DROP INDEX deliveries_muted")
        store.execute("ALTER TABLE deliveries DROP COLUMN released_at")
        store.execute("PRAGMA user_version = 1")
    store.close()
    town.mute(100)
    town.tick()
    assert town.results()[0][0] == "muted"
    town.tick(101)
    assert types(receiver) == ["drift.opened"]
