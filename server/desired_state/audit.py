"""The audit log: append-only, hash-chained, on disk before what it records takes effect.

    STATE/audit/audit-00000001.jsonl     a segment; the next one goes on with its chain
    STATE/audit/torn-00000042-…          the end of a line that a crash cut off, moved aside

Nothing here deletes. Opening the log moves a torn last line aside and records that it did; any
other damage is an error, and the log takes no more records until somebody has looked at it.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from penstock.monitoring.files.atomic_file import sync, write_synced
from penstock.monitoring.files.decoding import ContentError

from .audit_record import (
    GENESIS,
    MAX_LINE_BYTES,
    AuditEvent,
    AuditRecord,
    decode_record,
    encode_record,
    make_record,
)
from .audit_tail import AuditBroken, find_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOG = logging.getLogger("penstock.state")

_CUT: Final = "a crash cut the last line off; what it recorded did not take effect"
DAMAGED: Final = "the end of the log was damaged; the state says whether it had taken effect"

_LOCK: Final = ".lock"
_PATTERN: Final = "audit-*.jsonl"
SEGMENT_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Verification:
    """The outcome of `verify_log`.

    Attributes:
        records: That are right, from the first one on.
        head: Hash of the last of them; `GENESIS` if there is none.
        problem: Fault after them; empty if there is none.
    """

    records: int
    head: str
    problem: str = ""


class AuditLog:
    """The log, open for appending by one process.

    Args:
        directory: Directory of the log; made if it is missing.
        clock: The time now as RFC 3339 in UTC.
        segment_bytes: A segment as large as this is followed by a new one.

    Raises:
        AuditBroken: Its end is damaged, or another process has it open.
        OSError: A file cannot be read or written.
    """

    def __init__(
        self, directory: Path, clock: Callable[[], str], *, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self._directory = directory
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._file = -1
        self._size = 0
        self._failed = ""
        self._lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.seq, self.head = self._resume()
        except BlockingIOError:
            self.close()
            raise AuditBroken(f"another process has the audit log {directory} open") from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, event: AuditEvent) -> AuditRecord:
        """Record an event. When this returns, the record is on disk.

        Raises:
            AuditBroken: It is not, nor is a part of it; what it records must not happen.
            ValueError: The event is too long or not JSON.
        """
        if self._failed:
            raise AuditBroken(self._failed)
        record = make_record(self.seq + 1, self._clock(), event, self.head)
        line = encode_record(record)
        try:
            if self._size and self._size + len(line) > self._segment_bytes:
                self._open_segment(record.seq)
            _write(self._file, line)
            os.fsync(self._file)
        except OSError as error:
            self._take_back()
            raise AuditBroken(f"the audit log cannot be written: {error}") from error
        self._size += len(line)
        self.seq, self.head = record.seq, record.hash
        return record

    def close(self) -> None:
        """Let another process open it."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    def _resume(self) -> tuple[int, str]:
        """Sequence number and hash to go on from."""
        segments = segments_of(self._directory)
        if segments and not segments[-1].stat().st_size:
            segments.pop().unlink()  # a crash after making it, before the first record
        if not segments:
            self._open_segment(1)
            return 0, GENESIS
        last = segments[-1]
        self._file = os.open(last, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        self._size = os.fstat(self._file).st_size
        torn, line = find_end(self._file, self._size)
        moved = None
        if torn:
            moved = self._move_aside(last, torn)
        if not line:
            return self._restart(last, segments, moved)
        return self._recorded(_decode(line, str(last)), moved)

    def _restart(
        self, torn: Path, segments: list[Path], moved: AuditEvent | None
    ) -> tuple[int, str]:
        """Go on when the last segment lost its only line: from the end of the one before."""
        os.close(self._file)
        self._file = -1
        torn.unlink()
        if len(segments) == 1:
            self._open_segment(1)
            self.seq, self.head = 0, GENESIS
            if moved is not None:
                self.append(moved)
            return self.seq, self.head
        before = segments[-2]
        self._file = os.open(before, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        self._size = os.fstat(self._file).st_size
        rest, line = find_end(self._file, self._size)
        if rest or not line:
            raise AuditBroken(f"{before} does not end with a complete line, but is not the last")
        return self._recorded(_decode(line, str(before)), moved)

    def _recorded(self, last: AuditRecord, moved: AuditEvent | None) -> tuple[int, str]:
        self.seq, self.head = last.seq, last.hash
        if moved is not None:
            self.append(moved)
        return self.seq, self.head

    def _move_aside(self, segment: Path, torn: bytes) -> AuditEvent:
        digest = hashlib.sha256(torn).hexdigest()
        aside = self._directory / f"torn-{segment.stem}-{digest[:16]}"
        write_synced(aside, torn, 0o600)
        sync(self._directory)
        self._size -= len(torn)
        os.ftruncate(self._file, self._size)
        os.fsync(self._file)
        LOG.error("the end of %s was damaged; it was moved to %s", segment, aside)
        return AuditEvent(
            action="audit.torn",
            actor="penstock",
            reason=_CUT if b"\n" not in torn else DAMAGED,
            evidence={"file": aside.name, "bytes": len(torn), "sha256": digest},
        )

    def _open_segment(self, seq: int) -> None:
        path = self._directory / f"audit-{seq:012d}.jsonl"
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size = descriptor, 0
        sync(self._directory)

    def _take_back(self) -> None:
        """Remove a half-written line; if that fails, too, take no more records."""
        try:
            if self._file >= 0:
                os.ftruncate(self._file, self._size)
                os.fsync(self._file)
        except OSError as error:
            self._failed = f"the audit log could not be written before, and cannot now: {error}"


def segments_of(path: Path) -> list[Path]:
    """The segments of a log, in order; or the one segment that the path is."""
    return sorted(path.glob(_PATTERN)) if path.is_dir() else [path]


def verify_log(path: Path) -> Verification:
    """Follow the chain from the first record to the last.

    Args:
        path: The directory of a log, or one segment, whose first record is then taken on trust.
    """
    count, seq, head = 0, 0, GENESIS
    trusted = path.is_dir()
    segments = segments_of(path)
    for index, segment in enumerate(segments):
        number = 0
        try:
            for number, line in enumerate(_lines(segment), 1):
                record = decode_record(line, f"{segment}:{number}")
                if trusted and (record.seq, record.prev) != (seq + 1, head):
                    raise ContentError(
                        f"{segment}:{number}: record {record.seq} does not follow record {seq}"
                    )
                trusted = True
                count, seq, head = count + 1, record.seq, record.hash
        except (ContentError, OSError) as error:
            return Verification(count, head, str(error))
        if not number and index < len(segments) - 1:
            return Verification(count, head, f"{segment}: it is empty, but is not the last")
    return Verification(count, head)


def read_log(path: Path) -> Iterator[AuditRecord]:
    """Every record of a log, oldest first, unchecked against each other.

    Raises:
        ContentError: A line is no record.
    """
    for segment in segments_of(path):
        for number, line in enumerate(_lines(segment), 1):
            yield decode_record(line, f"{segment}:{number}")


def readable_records(path: Path) -> tuple[list[AuditRecord], int]:
    """Every record of a log that can be read, oldest first, and how many lines cannot be."""
    records: list[AuditRecord] = []
    unreadable = 0
    for segment in segments_of(path) if path.is_dir() else []:
        try:
            for line in _lines(segment):
                try:
                    records.append(decode_record(line, ""))
                except ContentError:
                    unreadable += 1
        except OSError:
            unreadable += 1
    return records, unreadable


def _lines(segment: Path) -> Iterator[bytes]:
    with segment.open("rb") as file:
        while line := file.readline(MAX_LINE_BYTES + 1):
            yield line


def _decode(line: bytes, source: str) -> AuditRecord:
    try:
        return decode_record(line, source)
    except ContentError as error:
        raise AuditBroken(f"the audit log does not end as it was written: {error}") from error


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
