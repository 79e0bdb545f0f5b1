"""The end of an audit log: its last whole record, and what a crash left behind it."""

from __future__ import annotations

import os
from typing import Final

from penstock.monitoring.files.decoding import ContentError

from .audit_record import MAX_LINE_BYTES, RecordChanged, decode_record

#: Of the end of the log, in which a whole record is looked for.
_TAIL_BYTES: Final = 8 * MAX_LINE_BYTES


class AuditBroken(Exception):
    """The log is damaged, or cannot be written; the message names file and line."""


def find_end(file: int, size: int) -> tuple[bytes, bytes]:
    """What follows the last record that is whole, and the line of that record.

    A loss of power leaves half a line, or blocks of zeros, or both. What a reader cannot take for a
    record goes aside; the record before it still has the hash that the next one goes on from.

    Raises:
        AuditBroken: There is no whole record in the last part of a long log; or somebody changed
            the last one, which no loss of power does.
    """
    length = min(size, _TAIL_BYTES)
    tail = os.pread(file, length, size - length)
    end = tail.rfind(b"\n") + 1
    while end:
        begin = tail.rfind(b"\n", 0, end - 1) + 1
        line = tail[begin:end]
        if len(line) <= MAX_LINE_BYTES:
            try:
                decode_record(line, "")
            except RecordChanged as error:
                raise AuditBroken(
                    f"the audit log does not end as it was written: {error}"
                ) from error
            except ContentError:
                pass  # no record at all
            else:
                return tail[end:], line
        end = begin
    if length < size:
        raise AuditBroken(f"the last {length} bytes of the audit log hold no whole record")
    return tail, b""
