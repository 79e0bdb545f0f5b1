"""One line of the audit log, and the chain that its hash is a link of. Pure.

    hash = SHA-256(previous hash + canonical JSON of the record without its hash)

A changed, removed or inserted record breaks every later record. What a chain cannot show is
that its end is missing: for that, somebody else must know the last hash.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from penstock.monitoring.files.decoding import ContentError, convert, decode_json

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The hash before the first record.
GENESIS: Final = "0" * 64

MAX_LINE_BYTES: Final = 1 << 20
#: Entries of an object that a shortened record keeps: a model has 64 aliases at most.
_MAX_KEPT: Final = 200


class RecordChanged(ContentError):
    """A line is a record that was changed after it was written."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """What is to be recorded.

    Attributes:
        action: Such as ``promote``.
        actor: Name of a token, or of a part of the server.
        model: Empty if it is not about one.
        before: The value before the change: a version, a weight, a phase, of any JSON type.
        after: New value.
        reason: In the actor's words.
        evidence: Evidence of the decision.
        generation: Generation of the desired state that it makes.
    """

    action: str
    actor: str
    model: str = ""
    before: Any = None
    after: Any = None
    reason: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    generation: int = 0


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An event in the log.

    Attributes:
        seq: 1 for the first; no number is left out.
        time: RFC 3339, UTC.
        event: Event on record.
        prev: Hash of the record before.
        hash: Hash of this one.
    """

    seq: int
    time: str
    event: AuditEvent
    prev: str
    hash: str


class _Line(msgspec.Struct):
    """A record as it is written. The order of its keys is that of `_canonical`."""

    seq: int
    time: str
    action: str
    actor: str
    model: str
    before: Any
    after: Any
    reason: str
    evidence: dict[str, Any]
    generation: int
    prev: str
    hash: str


def make_record(seq: int, time: str, event: AuditEvent, prev: str) -> AuditRecord:
    """The record of an event, with its hash."""
    return AuditRecord(seq, time, event, prev, _hash(_body(seq, time, event, prev)))


def encode_record(record: AuditRecord) -> bytes:
    """Its line.

    Raises:
        ValueError: It is longer than `MAX_LINE_BYTES`, or not JSON.
    """
    body = _body(record.seq, record.time, record.event, record.prev)
    line = _canonical({**body, "hash": record.hash}) + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"an audit record of {len(line)} bytes; at most {MAX_LINE_BYTES}")
    return line


def decode_record(line: bytes, source: str) -> AuditRecord:
    """The record of a line, whose hash is right; whether it follows the one before is not checked.

    Raises:
        ContentError: It is no record.
        RecordChanged: It is one, and not as it was written.
    """
    if not line.endswith(b"\n"):
        raise ContentError(f"{source}: the line is not complete")
    one = convert(_Line, decode_json(line, source, own=True), source)
    event = AuditEvent(
        *(one.action, one.actor, one.model, one.before, one.after),
        *(one.reason, one.evidence, one.generation),
    )
    record = AuditRecord(one.seq, one.time, event, one.prev, one.hash)
    if encode_record(record) != line:
        raise RecordChanged(f"{source}: the line is not as it was written")
    if make_record(record.seq, record.time, record.event, record.prev) != record:
        raise RecordChanged(f"{source}: the record was changed: its hash is another")
    return record


def summarised(event: AuditEvent, why: str) -> AuditEvent:
    """The same event in a record of a few kilobytes, for one that cannot be written as it is.

    Args:
        event: Too long, or not JSON.
        why: Says what was wrong with it.
    """
    return replace(
        event,
        model=event.model[:200],
        before=_shortened(event.before),
        after=_shortened(event.after),
        reason=str(event.reason)[:1000],
        evidence={"left_out": why[:500], **_shortened(dict(event.evidence))},
    )


def _shortened(value: Any) -> Any:
    """The value without what takes much room; names of aliases and versions stay."""
    if isinstance(value, dict):
        few = [(str(key)[:200], one) for key, one in value.items()][:_MAX_KEPT]
        return {key: one if _is_plain(one) else repr(one)[:100] for key, one in few}
    return value if _is_plain(value) else repr(value)[:1000]


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 200  # noqa: PLR2004  more than any name has
    return value is None or (isinstance(value, int) and abs(value) < 1 << 63)


def _body(seq: int, time: str, event: AuditEvent, prev: str) -> dict[str, Any]:
    return {
        "seq": seq,
        "time": time,
        "action": event.action,
        "actor": event.actor,
        "model": event.model,
        "before": event.before,
        "after": event.after,
        "reason": event.reason,
        "evidence": dict(event.evidence),
        "generation": event.generation,
        "prev": prev,
    }


def _canonical(content: dict[str, Any]) -> bytes:
    try:
        return json.dumps(
            content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
        ).encode()
    except (TypeError, RecursionError) as error:
        raise ValueError(f"an audit record that is not JSON: {error}") from error


def _hash(body: dict[str, Any]) -> str:
    import hashlib  # as in `terms_digest`: not in the supervisor

    return hashlib.sha256(body["prev"].encode() + _canonical(body)).hexdigest()
