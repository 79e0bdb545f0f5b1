"""What the audit log says of the past."""

from __future__ import annotations

from penstock.server.control.api.audit_history import AuditHistory, in_force, production_at
from penstock.server.desired_state.audit_record import AuditEvent, AuditRecord
from penstock.server.desired_state.rebuild import ABANDONED


def record(seq, action, model="", **event):
    return AuditRecord(
        seq, f"2031-01-01T00:00:{seq:02}.000Z", AuditEvent(action, "ann", model, **event), "", ""
    )


LOG = [
    record(1, "default", after={"m": 1, "n": 7}),
    record(2, "default", before={"m": 1}, after={"m": 2}),
    record(3, "promote", "m", before={"stable": None}, after={"stable": 1}),
    record(4, "load", "m", before={}, after={}, evidence={"version": 3}),
    record(5, "promote", "m", before={"stable": 1}, after={"stable": 3}),
    record(6, ABANDONED, "m", before=5),
    record(7, "rollback", "m", before={"stable": 1}, after={"stable": 2}),
]


def at(seconds):
    found = production_at(in_force(LOG), "m", f"2031-01-01T00:00:{seconds:02}.000Z")
    return None if found is None else found.version


def test_what_was_in_production_is_known_for_every_moment():
    assert [at(second) for second in range(9)] == [None, 1, 2, 1, 1, 1, 1, 2, 2]


def test_a_record_that_was_taken_back_never_was():
    assert [one.seq for one in in_force(LOG)] == [1, 2, 3, 4, 7]
    audit_history = AuditHistory()
    for one in LOG[:6]:
        audit_history.add(one)
    assert audit_history.move("m", "stable").version == 1
    audit_history.add(LOG[6])
    assert audit_history.move("m", "stable").record.seq == 7
    assert audit_history.move("n", "default").version == 7
    assert audit_history.move("n", "stable") is None


def test_a_name_that_is_gone_has_no_move():
    audit_history = AuditHistory()
    audit_history.add(record(1, "alias", "m", before={"canary": None}, after={"canary": 2}))
    assert audit_history.move("m", "canary").version == 2
    audit_history.add(record(2, "unalias", "m", before={"canary": 2}, after={"canary": None}))
    assert audit_history.move("m", "canary") is None
