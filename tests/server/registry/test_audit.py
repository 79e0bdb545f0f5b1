"""The audit log: nothing changes unseen, and a crash costs at most what had not happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.monitoring.files.decoding import ContentError
from penstock.server.desired_state import audit
from penstock.server.desired_state.audit import AuditLog, read_log, segments_of, verify_log
from penstock.server.desired_state.audit_record import (
    GENESIS,
    AuditEvent,
    decode_record,
    encode_record,
    make_record,
)
from penstock.server.desired_state.audit_tail import AuditBroken

EVENT = AuditEvent("promote", "alice", "m", before=1, after=2, reason="better", generation=7)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def clock():
    return "2026-01-01T00:00:00+00:00"


def open_log(directory, **options):
    return AuditLog(directory, clock, **options)


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "audit"


@pytest.fixture
def filled(directory):
    with open_log(directory) as log:
        for number in range(5):
            log.append(AuditEvent("alias", "bob", "m", before=number, after=number + 1))
    return directory


def only(directory):
    (segment,) = segments_of(directory)
    return segment


@given(st.text(), JSON, JSON, st.dictionaries(st.text(), JSON, max_size=3))
def test_any_event_is_read_as_written(text, before, after, evidence):
    event = AuditEvent(text, text, text, before, after, text, evidence, 3)
    record = make_record(1, text, event, GENESIS)
    assert decode_record(encode_record(record), "x") == record


def test_records_follow_each_other_over_restarts(directory):
    for number in range(3):
        with open_log(directory) as log:
            assert log.append(EVENT).seq == number + 1
    records = list(read_log(directory))
    assert [record.prev for record in records] == [GENESIS, *(r.hash for r in records[:2])]
    assert verify_log(directory).records == 3
    assert verify_log(directory).head == records[-1].hash
    assert verify_log(directory).problem == ""


def test_a_record_says_all(directory):
    with open_log(directory) as log:
        log.append(EVENT)
    written = json.loads(only(directory).read_bytes())
    assert (
        written.items()
        >= {
            "seq": 1,
            "time": clock(),
            "action": "promote",
            "actor": "alice",
            "model": "m",
            "before": 1,
            "after": 2,
            "reason": "better",
            "generation": 7,
            "prev": GENESIS,
        }.items()
    )


def test_segments_go_on_with_the_chain(directory):
    with open_log(directory, segment_bytes=1000) as log:
        for _ in range(20):
            log.append(EVENT)
    segments = segments_of(directory)
    assert len(segments) > 3
    assert all(segment.stat().st_size <= 1000 for segment in segments)
    assert verify_log(directory) == audit.Verification(20, log.head)
    assert verify_log(segments[2]).problem == ""
    with open_log(directory, segment_bytes=1000) as log:
        assert log.append(EVENT).seq == 21
    segments[1].unlink()
    assert "does not follow" in verify_log(directory).problem


def test_every_changed_byte_is_found(filled):
    segment = only(filled)
    whole = segment.read_bytes()
    for index in range(len(whole)):
        changed = bytearray(whole)
        changed[index] ^= 0x04
        segment.write_bytes(changed)
        found = verify_log(filled)
        assert found.problem
        assert found.records <= whole[:index].count(b"\n")


@pytest.mark.parametrize("damage", ["remove", "swap", "repeat", "insert"])
def test_lines_removed_moved_or_added_are_found(filled, damage):
    segment = only(filled)
    lines = segment.read_bytes().splitlines(keepends=True)
    other = encode_record(make_record(3, clock(), EVENT, json.loads(lines[1])["hash"]))
    lines = {
        "remove": [*lines[:2], *lines[3:]],
        "swap": [*lines[:2], lines[3], lines[2], lines[4]],
        "repeat": [*lines[:3], *lines[2:]],
        "insert": [*lines[:2], other, *lines[2:]],
    }[damage]
    segment.write_bytes(b"".join(lines))
    found = verify_log(filled)
    assert found.records == (3 if damage in {"repeat", "insert"} else 2)
    assert "does not follow" in found.problem


def test_cut_at_any_byte_it_is_never_silently_accepted(filled, tmp_path):
    """A cut line is moved aside and said so; whole lines stay; only a cut between lines is unseen,

    which the head, known elsewhere, shows.
    """
    whole = only(filled).read_bytes()
    for size in range(len(whole)):
        directory = tmp_path / f"cut{size}"
        directory.mkdir()
        (directory / "audit-000000000001.jsonl").write_bytes(whole[:size])
        kept = whole[:size].count(b"\n")
        torn = whole[:size].rpartition(b"\n")[2]
        before = verify_log(directory)
        assert before.records == kept
        assert bool(before.problem) == bool(torn)
        with open_log(directory) as log:
            assert log.seq == kept + bool(torn)
            log.append(EVENT)
        assert verify_log(directory) == audit.Verification(kept + bool(torn) + 1, log.head)
        aside = list(directory.glob("torn-*"))
        assert [path.read_bytes() for path in aside] == ([torn] if torn else [])
        if torn:
            record = list(read_log(directory))[kept]
            assert record.event.action == "audit.torn"
            assert record.event.evidence["file"] == aside[0].name


def test_a_cut_first_line_of_a_later_segment_is_recovered(directory):
    with open_log(directory, segment_bytes=400) as log:
        for _ in range(3):
            log.append(EVENT)
    last = segments_of(directory)[-1]
    last.write_bytes(last.read_bytes()[:50])
    with open_log(directory, segment_bytes=400) as log:
        assert log.seq == 3
    assert verify_log(directory).problem == ""
    assert [record.event.action for record in read_log(directory)][-1] == "audit.torn"


def test_an_empty_segment_after_a_crash_is_no_damage(filled):
    (filled / "audit-000000000006.jsonl").touch()
    with open_log(filled) as log:
        assert log.append(EVENT).seq == 6
    assert verify_log(filled).problem == ""


@pytest.mark.parametrize(
    "tail",
    [
        b'{"seq": 6}\n',
        b"\0" * 5000,
        b"\0" * 5000 + b"\n",
        b'{"action":"promote","actor":\0\0\0\0\0\n\0\0\0',
        b"x" * (3 << 20),
        b"\n\n\n",
    ],
)
def test_the_damage_that_a_loss_of_power_leaves_is_set_aside_and_told(filled, tail):
    with only(filled).open("ab") as file:
        file.write(tail)
    with open_log(filled) as log:
        assert log.append(AuditEvent("promote", "ann", "m")).seq == 7
    assert verify_log(filled).problem == ""
    told = [one.event for one in read_log(filled)][5]
    assert (told.action, told.evidence["bytes"]) == ("audit.torn", len(tail))
    assert (filled / told.evidence["file"]).read_bytes() == tail


def test_a_last_record_that_somebody_changed_is_not_gone_on_with(filled):
    *lines, last = only(filled).read_bytes().splitlines(keepends=True)
    only(filled).write_bytes(b"".join([*lines, last.replace(b'"actor":"', b'"actor":"not ')]))
    with pytest.raises(AuditBroken, match="does not end as it was written"):
        open_log(filled)


def test_a_log_without_any_whole_record_at_its_end_is_not_touched(filled):
    with only(filled).open("ab") as file:
        file.write(b"x" * (9 << 20))
    size = only(filled).stat().st_size
    with pytest.raises(AuditBroken, match="no whole record"):
        open_log(filled)
    assert only(filled).stat().st_size == size


def test_one_writer_at_a_time(filled):
    with open_log(filled), pytest.raises(AuditBroken, match="another process"):
        open_log(filled)
    open_log(filled).close()


@pytest.mark.parametrize(
    "event",
    [
        AuditEvent("x", "y", evidence={"a": object()}),
        AuditEvent("x", "y", before=float("nan")),
        AuditEvent("x", "y", reason="x" * (1 << 20)),
    ],
)
def test_what_cannot_be_written_is_refused_and_costs_nothing(filled, event):
    with open_log(filled) as log:
        with pytest.raises(ValueError, match=r"audit record|JSON"):
            log.append(event)
        assert log.append(EVENT).seq == 6
    assert verify_log(filled).problem == ""


def test_a_full_disk_takes_the_half_line_back(filled, monkeypatch):
    real = os.write

    def full(file, data):
        real(file, bytes(data[:10]))
        raise OSError(28, "No space left on device")

    with open_log(filled) as log:
        monkeypatch.setattr(audit.os, "write", full)
        with pytest.raises(AuditBroken, match="No space left"):
            log.append(EVENT)
        monkeypatch.undo()
        assert log.append(EVENT).seq == 6
    assert verify_log(filled).records == 6


def test_a_record_that_cannot_be_taken_back_ends_the_log(filled, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    with open_log(filled) as log:
        monkeypatch.setattr(audit.os, "fsync", fail)
        with pytest.raises(AuditBroken, match="cannot be written"):
            log.append(EVENT)
        monkeypatch.undo()
        with pytest.raises(AuditBroken, match="cannot now"):
            log.append(EVENT)


def test_a_record_is_synced_before_append_returns(filled, monkeypatch):
    synced = []
    real = os.fsync
    with open_log(filled) as log:
        monkeypatch.setattr(
            audit.os, "fsync", lambda f: (synced.append(os.fstat(f).st_size), real(f))
        )
        log.append(EVENT)
    assert synced == [only(filled).stat().st_size]


def test_a_line_that_reads_the_same_but_is_written_otherwise_is_found(filled):
    segment = only(filled)
    segment.write_bytes(segment.read_bytes().replace(b'"bob"', b'"\\u0062ob"', 1))
    assert "not as it was written" in verify_log(filled).problem
    with pytest.raises(ContentError):
        list(read_log(filled))


WRITER = """
import sys
from pathlib import Path
from penstock.server.desired_state.audit import AuditLog
from penstock.server.desired_state.audit_record import AuditEvent

with AuditLog(Path(sys.argv[1]), lambda: "t", segment_bytes=5000) as log:
    print(log.seq, flush=True)
    while True:
        print(log.append(AuditEvent("a", "b", reason="x" * 300)).seq, flush=True)
"""


def test_a_killed_writer_loses_no_record_that_it_reported(directory):
    last = 0
    for rounds in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, directory], stdout=subprocess.PIPE, text=True
        ) as writer:
            for _ in range(rounds * 9 + 1):
                last = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            for line in writer.stdout:
                last = int(line)
        found = verify_log(directory)
        assert found.records in {last, last + 1}
    with open_log(directory) as log:
        assert log.seq in {last, last + 1, last + 2}
    assert verify_log(directory).problem == ""
