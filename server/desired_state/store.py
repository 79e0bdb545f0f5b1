"""Desired state and audit log together: a change is on record before it is, and then it is whole.

A crash between the two leaves a record of a change that never took effect; the next process that
opens the store records that, so the log tells the truth without a line of it being touched.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from penstock.monitoring.files.decoding import ContentError
from penstock.server.errors import Conflict, Unavailable

from .audit import DAMAGED, AuditLog, read_log, readable_records, segments_of
from .audit_record import AuditEvent, summarised
from .audit_tail import AuditBroken
from .rebuild import ABANDONED, rebuild
from .state import DesiredState, check_generation
from .state_file import StateDamaged, StateFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .audit_record import AuditRecord

LOG = logging.getLogger("penstock.state")

ACTOR = "penstock"


class StateStore:
    """The state directory, open in one process. Blocking.

    Args:
        directory: Must exist, of the server alone.
        clock: The time now as RFC 3339 in UTC.

    Attributes:
        audit: Directory of the audit log.
        state: As it is on disk.
        problem: Reason for which changes are not possible; empty if they are.
        subscribers: Called with each record that was written, from the thread that wrote it.
    """

    def __init__(self, directory: Path, clock: Callable[[], str]) -> None:
        self.audit = directory / "audit"
        self.problem = ""
        self.subscribers: list[Callable[[AuditRecord], object]] = []
        self._lock = threading.Lock()
        self._file = StateFile(directory)
        self._log: AuditLog | None = None
        try:
            self._log = AuditLog(self.audit, clock)
        except (AuditBroken, OSError) as error:
            self.problem = f"the audit log takes no records: {error}"
        self.state = self._read()
        self._abandon_unfinished()

    def close(self) -> None:
        """Let another process open it."""
        if self._log is not None:
            self._log.close()

    def commit(self, after: DesiredState, event: AuditEvent, expected: int) -> AuditRecord:
        """Record a change and make it.

        Args:
            after: The state to be.
            event: Whose `generation` is that of `after`.
            expected: Generation of the state it was made from.

        Raises:
            Conflict: Somebody else was faster; nothing was recorded.
            Unavailable: The disk, or a damaged log; nothing changed.
        """
        with self._lock:
            check_generation(self.state, expected)
            record = self._append(event)
            try:
                self._file.write(after, expected)
            except (OSError, Conflict, StateDamaged) as error:
                self._abandon(record, str(error))
                raise Unavailable(f"the state cannot be written: {error}") from error
            self.state = after
            return record

    def note(self, event: AuditEvent) -> AuditRecord:
        """Record what the server does by itself.

        Raises:
            Unavailable: It cannot be recorded, so it must not happen.
        """
        with self._lock:
            return self._append(event)

    def _append(self, event: AuditEvent) -> AuditRecord:
        if self._log is None or self.problem:
            raise Unavailable(f"no changes are possible: {self.problem}")
        try:
            try:
                record = self._log.append(event)
            except ValueError as error:
                # Whatever size and make the details have: that it happened is on record.
                record = self._log.append(summarised(event, str(error)))
        except (AuditBroken, ValueError) as error:
            raise Unavailable(f"no changes are possible: {error}") from error
        tell(record, *self.subscribers)
        return record

    def _read(self) -> DesiredState:
        """The state; from the audit log if its files are gone or damaged.

        Raises:
            StateDamaged: Nor does the log say what was wanted: nothing is guessed.
        """
        damage: StateDamaged | None = None
        base = DesiredState()
        try:
            state = self._file.read()
            if self._file.path.exists():
                return state
        except StateDamaged as error:
            damage, base = error, error.last_good or base
        records, unreadable = readable_records(self.audit)
        if not any(one.event.generation for one in records):
            if damage is not None and damage.last_good is None:
                raise damage
            if damage is None:
                if unreadable or any(one.event.reason == DAMAGED for one in records):
                    raise StateDamaged(
                        f"there is no state in {self._file.path.parent}, and the audit log beside "
                        "it was damaged; restore one of them, or remove both to begin anew",
                        None,
                    )
                return base  # a new server
        state = rebuild(base, records)
        reason = str(damage or f"{self._file.path} and the one before it are gone")
        LOG.error("%s; it was rebuilt from %d records of the audit log", reason, len(records))
        self._file.set_aside()
        self._file.write(state, None)
        if self._log is not None:
            evidence = {"records": len(records), "unreadable_lines": unreadable}
            self._log.append(
                AuditEvent(
                    "state.recovered",
                    ACTOR,
                    reason=reason,
                    evidence=evidence,
                    generation=state.generation,
                )
            )
        return state

    def _abandon_unfinished(self) -> None:
        if self.problem:
            return
        try:
            last = last_record(self.audit)
        except ContentError as error:
            self.problem = f"the audit log is damaged: {error}"
            return
        unfinished = last is not None and last.event.generation > self.state.generation
        if last is not None and unfinished and self._log is not None:
            self._abandon(last, "the server ended before it took effect")

    def _abandon(self, record: AuditRecord, reason: str) -> None:
        self._append(
            AuditEvent(
                action=ABANDONED,
                actor=ACTOR,
                model=record.event.model,
                before=record.seq,
                reason=reason,
                generation=self.state.generation,
            )
        )


def tell(record: AuditRecord, *subscribers: Callable[[AuditRecord], object]) -> None:
    """Tell each of them; one that cannot use a record keeps it neither from the others nor out."""
    for subscriber in subscribers:
        try:
            subscriber(record)
        except Exception:
            LOG.exception("record %d of the audit log cannot be used", record.seq)


def last_record(audit: Path) -> AuditRecord | None:
    """The last record of a log."""
    last = None
    for segment in reversed(segments_of(audit) if audit.is_dir() else []):
        for record in read_log(segment):
            last = record
        if last is not None:
            break
    return last
