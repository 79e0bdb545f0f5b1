"""The alert store: one row per state of an episode, from any writer and however often."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from penstock.monitoring.alerts import alert_store as module
from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.monitoring.alerts.reading import read_alerts, read_counts, waiting_since

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.monitoring.alerts.alert import Alert


@pytest.fixture
def alert_store(tmp_path: Path) -> AlertStore:
    return AlertStore(tmp_path / "monitor" / "alerts.db")


def test_an_alert_comes_back_as_it_went_in(
    alert_store: AlertStore, an_alert: Callable[..., Alert]
) -> None:
    assert alert_store.open_episodes() == []
    assert alert_store.put(an_alert())
    assert alert_store.open_episodes() == [an_alert()]


def test_putting_twice_is_putting_once(
    alert_store: AlertStore, an_alert: Callable[..., Alert]
) -> None:
    assert alert_store.put(an_alert())
    assert not alert_store.put(an_alert(summary="said differently"))
    assert alert_store.open_episodes() == [an_alert()]


def test_the_first_alert_waits_for_whoever_makes_the_file_now(
    alert_store: AlertStore, tmp_path: Path, an_alert: Callable[..., Alert]
) -> None:
    path = tmp_path / "monitor" / "alerts.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        leaves = threading.Timer(0.1, lambda: other.execute("COMMIT"))
        leaves.start()
        assert alert_store.put(an_alert())
        leaves.join()
    assert alert_store.open_episodes() == [an_alert()]


def test_a_file_without_its_tables_yet_holds_no_alerts(tmp_path: Path) -> None:
    path = tmp_path / "monitor" / "alerts.db"
    path.parent.mkdir()
    sqlite3.connect(path).execute("PRAGMA journal_mode = WAL").connection.close()
    assert read_alerts(path, 10) == []
    assert read_counts(path).open == {}
    assert waiting_since(path) == {}


def test_an_episode_closes_once(alert_store: AlertStore, an_alert: Callable[..., Alert]) -> None:
    alert_store.put(an_alert())
    assert alert_store.put(an_alert(opened=False))
    assert not alert_store.put(an_alert(opened=False))
    assert alert_store.open_episodes() == []
    assert not alert_store.put(an_alert())  # never opened again under the same name


def test_an_episode_that_nobody_heard_of_is_not_closed(
    alert_store: AlertStore, an_alert: Callable[..., Alert]
) -> None:
    assert not alert_store.put(an_alert(opened=False))


def test_open_episodes_of_one_kind(alert_store: AlertStore, an_alert: Callable[..., Alert]) -> None:
    alert_store.put(an_alert("e1"))
    alert_store.put(an_alert("e2", kind="quality"))
    assert [one.episode for one in alert_store.open_episodes("quality")] == ["e2"]


def test_the_file_is_bounded(
    alert_store: AlertStore, monkeypatch: pytest.MonkeyPatch, an_alert: Callable[..., Alert]
) -> None:
    monkeypatch.setattr(module, "KEEP", 5)
    for number in range(9):
        alert_store.put(an_alert(f"e{number}"))
    assert [one.episode for one in alert_store.open_episodes()] == ["e4", "e5", "e6", "e7", "e8"]


def test_what_is_too_long_is_cut_and_told_all_the_same(
    alert_store: AlertStore, an_alert: Callable[..., Alert]
) -> None:
    for tail in "ab":
        assert alert_store.put(
            an_alert(
                "e" * 500 + tail,
                subject="f" * 900,
                summary="s" * 5000,
                evidence={"x": "y" * 99_999},
            )
        )
    first, second = alert_store.open_episodes()
    assert first.episode != second.episode
    assert max(len(first.episode), len(first.subject)) <= 200
    assert len(first.summary) == 1000
    assert first.evidence["left_out_bytes"] > 99_999


def test_evidence_may_hold_numpy_and_what_is_not_a_number(
    alert_store: AlertStore, an_alert: Callable[..., Alert]
) -> None:
    evidence = {"psi": np.float64(0.5), "bins": np.arange(3), "p": float("nan"), 7: Path("/x")}
    alert_store.put(an_alert(evidence=evidence))
    assert alert_store.open_episodes()[0].evidence == {
        "psi": 0.5,
        "bins": [0, 1, 2],
        "p": None,
        "7": "/x",
    }


def _put_many(path: Path, alerts: list[Alert]) -> None:
    for alert in alerts:
        AlertStore(path).put(alert)


def test_several_processes_put_the_same_alerts(
    alert_store: AlertStore, tmp_path: Path, an_alert: Callable[..., Alert]
) -> None:
    path = tmp_path / "monitor" / "alerts.db"
    alerts = [an_alert(f"e{number}") for number in range(20)]
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_put_many, args=(path, alerts)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    assert [writer.exitcode for writer in writers] == [0, 0, 0, 0]
    assert len(alert_store.open_episodes()) == 20


def test_a_file_that_cannot_be_written_is_an_error(
    tmp_path: Path, an_alert: Callable[..., Alert]
) -> None:
    path = tmp_path / "alerts.db"
    path.mkdir()
    with pytest.raises(sqlite3.Error):
        AlertStore(path).put(an_alert())


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "Drift"}, {"kind": ""}, {"severity": "fatal"}, {"episode": ""}, {"summary": ""}],
)
def test_an_alert_that_says_nothing_is_refused(
    wrong: dict[str, Any], an_alert: Callable[..., Alert]
) -> None:
    with pytest.raises(ValueError, match=r"kind|severity|episode"):
        an_alert(**wrong)


def test_the_name_tells_kind_and_state(an_alert: Callable[..., Alert]) -> None:
    assert an_alert().name == "drift.opened"
    assert an_alert(opened=False).name == "drift.closed"
    assert an_alert(kind="rollout.promoted").name == "rollout.promoted"
