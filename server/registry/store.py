"""Desired state and audit log together: a change is on record before it is, and then it is whole.

A crash between the two leaves a record of what never took effect; whoever opens the store next
records that, so the log tells the truth without a line of it being touched.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from penstock.server.errors import Conflict, Unavailable

from .audit import AuditBroken, AuditLog, read_log, segments_of
from .audit_record import AuditEvent
from .checked_json import ContentError
from .state import check_generation
from .state_file import StateDamaged, StateFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .audit_record import AuditRecord
    from .state import DesiredState

#: Action of the record that takes another one back.
ABANDONED = "abandoned"
ACTOR = "penstock"


class StateStore:
    """The state directory, open in one process. Blocking.

    Args:
        directory: Must exist, of the server alone.
        clock: The time now as RFC 3339 in UTC.

    Attributes:
        audit: Directory of the audit log.
        state: As it is on disk.
        problem: Why changes are not possible; empty if they are.
        on_record: Called with each record that was written, from the thread that wrote it.
    """

    def __init__(self, directory: Path, clock: Callable[[], str]) -> None:
        self.audit = directory / "audit"
        self.problem = ""
        self.on_record: Callable[[AuditRecord], object] = lambda _: None
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
            record = self._log.append(event)
        except AuditBroken as error:
            raise Unavailable(f"no changes are possible: {error}") from error
        self.on_record(record)
        return record

    def _read(self) -> DesiredState:
        try:
            return self._file.read()
        except StateDamaged as damage:
            if damage.last_good is None:
                raise
            self._file.write(damage.last_good, None)
            if self._log is not None:
                reason = str(damage)
                event = AuditEvent(
                    "state.recovered", ACTOR, reason=reason, generation=damage.last_good.generation
                )
                self._log.append(event)
            return damage.last_good

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


def last_record(audit: Path) -> AuditRecord | None:
    """The last record of a log."""
    last = None
    for segment in reversed(segments_of(audit) if audit.is_dir() else []):
        for record in read_log(segment):
            last = record
        if last is not None:
            break
    return last
