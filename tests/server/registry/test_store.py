"""Desired state and audit log together, and what a crash between them leaves."""

from __future__ import annotations

import itertools

import pytest

from penstock.server.errors import Conflict, Unavailable
from penstock.server.registry import state as change
from penstock.server.registry.audit import read_log, verify_log
from penstock.server.registry.audit_record import AuditEvent
from penstock.server.registry.state import DesiredState
from penstock.server.registry.state_file import StateDamaged
from penstock.server.registry.store import ABANDONED, StateStore


@pytest.fixture
def opened(tmp_path):
    """Open the store anew, as a server that starts again does."""
    ticks = itertools.count()
    stores = []

    def open_store():
        if stores:
            stores.pop().close()
        stores.append(StateStore(tmp_path, lambda: f"2031-01-01T00:00:{next(ticks):02}Z"))
        return stores[-1]

    yield open_store
    stores.pop().close()


def promote(store, version):
    after = change.promote(store.state, "m", version, {1, 2})
    event = AuditEvent("promote", "ann", "m", generation=after.generation)
    return store.commit(after, event, store.state.generation)


def actions(store):
    return [record.event.action for record in read_log(store.audit)]


def test_a_change_is_there_after_a_restart(opened):
    promote(opened(), 1)
    store = opened()
    assert store.state.model("m").stable == 1
    assert actions(store) == ["promote"]


def test_a_record_whose_change_did_not_take_place_is_taken_back(opened, tmp_path):
    store = opened()
    promote(store, 1)
    store.note(AuditEvent("promote", "ann", "m", generation=2))  # and then the power went
    store = opened()
    assert store.state.generation == 1
    assert actions(store) == ["promote", "promote", ABANDONED]
    assert verify_log(store.audit).problem == ""
    assert actions(opened()) == ["promote", "promote", ABANDONED]  # once is enough


def test_a_change_that_cannot_be_written_is_taken_back_and_told(opened, monkeypatch):
    store = opened()
    promote(store, 1)

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(store._file, "write", full)
    with pytest.raises(Unavailable, match="no space left"):
        promote(store, 2)
    assert store.state.model("m").stable == 1
    assert actions(store) == ["promote", "promote", ABANDONED]


def test_who_decided_on_an_old_state_changes_and_records_nothing(opened):
    store = opened()
    promote(store, 1)
    with pytest.raises(Conflict):
        store.commit(DesiredState(9), AuditEvent("promote", "bob"), 0)
    assert actions(store) == ["promote"]


def test_a_damaged_log_lets_nothing_change_but_everything_be_read(opened):
    store = opened()
    promote(store, 1)
    promote(store, 2)
    segment = next(store.audit.glob("audit-*"))
    segment.write_bytes(segment.read_bytes().replace(b'"ann"', b'"bob"'))
    store = opened()
    assert store.state.model("m").stable == 2
    with pytest.raises(Unavailable, match="no changes are possible"):
        promote(store, 1)


def test_a_damaged_state_is_replaced_by_the_one_before_and_that_is_on_record(opened, tmp_path):
    store = opened()
    promote(store, 1)
    promote(store, 2)
    (tmp_path / "state.json").write_text("{}")
    store = opened()
    assert store.state.model("m").stable == 1
    assert "state.recovered" in actions(store)
    assert verify_log(store.audit).problem == ""


def test_without_any_whole_state_nothing_is_guessed(opened, tmp_path):
    opened().close()
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(StateDamaged):
        StateStore(tmp_path, lambda: "")
