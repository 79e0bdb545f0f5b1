"""Desired state and audit log together, and what a crash between them leaves."""

from __future__ import annotations

import itertools

import pytest

from penstock.server.control.api.command import Command, event_of
from penstock.server.desired_state import rollout_state
from penstock.server.desired_state import state as change
from penstock.server.desired_state.audit import read_log, verify_log
from penstock.server.desired_state.audit_record import AuditEvent
from penstock.server.desired_state.rebuild import ABANDONED
from penstock.server.desired_state.state import DesiredState
from penstock.server.desired_state.state_file import StateDamaged
from penstock.server.desired_state.store import StateStore
from penstock.server.errors import Conflict, Unavailable
from penstock.server.rollout.rollout import begin
from penstock.server.rollout.rollout_spec import Kind, RolloutSpec


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


LOSSES = [
    pytest.param(("state.json", "state.json.previous"), None, id="both-gone"),
    pytest.param(("state.json", "state.json.previous"), b"{}", id="both-damaged"),
    pytest.param(("state.json",), b"\0" * 100, id="state-damaged"),
    pytest.param(("state.json",), None, id="state-gone"),
]


def command(store, action, transition, version=None):
    """Carry out a command as the admin port does it."""
    after = transition(store.state)
    order = Command(action, "m", "ann")
    event = event_of(order, store.state, after, version, "")
    store.commit(after, event, store.state.generation)


@pytest.mark.parametrize(("names", "content"), LOSSES)
def test_a_state_that_is_lost_is_rebuilt_from_the_log(opened, tmp_path, names, content):
    store, both = opened(), {1, 2, 3}
    command(store, "promote", lambda now: change.promote(now, "m", 1, both), 1)
    command(store, "promote", lambda now: change.promote(now, "m", 2, both), 2)
    command(store, "set_alias", lambda now: change.set_alias(now, "m", "blue", 3, both), 3)
    command(store, "unload", lambda now: change.unload(now, "m", 1), 1)
    command(store, "load", lambda now: change.load(now, "m", 3, both, accept=True), 3)
    command(store, "promote", lambda now: change.promote(now, "m", 3, both), 3)
    command(store, "rollback", lambda now: change.rollback(now, "m", both), 2)
    command(store, "remove_alias", lambda now: change.remove_alias(now, "m", "blue"))
    before = store.state
    lose(tmp_path, names, content)
    store = opened()
    assert store.state == before
    assert actions(store)[-1] == "state.recovered"
    assert verify_log(store.audit).problem == ""
    assert opened().state == before
    if content is not None:
        assert list(tmp_path.glob("state.json.damaged-*"))


@pytest.mark.parametrize(("names", "content"), LOSSES)
def test_a_version_on_trial_is_never_put_before_everybody_by_a_loss(
    opened, tmp_path, names, content
):
    store = opened()
    trial = begin("r1", Kind.CANARY, "m", (1, 2), "sha256:x", RolloutSpec(), "ann", 0.0)
    after = rollout_state.start(store.state, trial, {1, 2})
    event = rollout_state.event_of("start", "ann", store.state, after, trial)
    store.commit(after, event, store.state.generation)
    lose(tmp_path, names, content)
    state = opened().state.model("m")
    assert (state.stable, rollout_state.in_progress(state)) == (1, None)


def test_a_state_is_rebuilt_from_what_can_be_read_of_a_damaged_log(opened, tmp_path):
    store = opened()
    for version in (1, 2):
        command(
            store, "promote", lambda now, v=version: change.promote(now, "m", v, {1, 2}), version
        )
    segment = next(store.audit.glob("audit-*"))
    first, second = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"junk" + first[4:] + second)
    lose(tmp_path, ("state.json", "state.json.previous"), None)
    assert opened().state.model("m").stable == 2


def test_without_state_and_without_a_readable_log_nothing_is_guessed(opened, tmp_path):
    store = opened()
    promote(store, 1)
    next(store.audit.glob("audit-*")).write_bytes(b"junk\n")
    store.close()
    lose(tmp_path, ("state.json", "state.json.previous"), None)
    with pytest.raises(StateDamaged):
        StateStore(tmp_path, lambda: "")


@pytest.mark.parametrize(
    "details",
    [
        {"after": {f"model-{n:0100}": n for n in range(12_000)}},
        {"evidence": {"version": 7, "figures": list(range(1 << 18))}},
        {"evidence": {"nan": float("nan"), "set": {1, 2}}},
        {"reason": "x" * (2 << 20)},
        {"before": [["deep"] * 3] * 400_000},
    ],
)
def test_a_record_of_any_size_and_make_is_written_shortened(opened, details):
    store = opened()
    record = store.note(AuditEvent("default", "penstock", "m", **details))
    assert record.event.evidence["left_out"]
    assert verify_log(store.audit).problem == ""
    assert record.event.evidence.get("version") == details.get("evidence", {}).get("version")


def lose(directory, names, content):
    for name in names:
        path = directory / name
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(content)


def test_without_any_whole_state_nothing_is_guessed(opened, tmp_path):
    opened().close()
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(StateDamaged):
        StateStore(tmp_path, lambda: "")
