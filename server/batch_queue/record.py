"""One batch job of the server, as it is kept on disk and shown."""

from __future__ import annotations

from typing import Any

import msgspec

from .state import OPEN, State


class BatchRecord(msgspec.Struct, frozen=True):
    """A batch job.

    Attributes:
        id: Name of the job, made by the server.
        number: Place in the order of all jobs.
        model: Name of the model.
        input: Path of the input in the directory of the option ``batch_root``.
        output: Path of the output there.
        by: Who asked for it.
        created: Unix seconds.
        version: Number or alias that was asked for; empty for the stable version.
        keys: Columns that are carried to the output.
        all_columns: Whether all columns are.
        replace: Whether the output may take the place of a file.
        reason: Why, in the words of who asked.
        state: How far it is.
        answered_by: The version that answers; empty before its first row.
        rows: Rows that are on disk.
        failed: Of these, rows that were not answered.
        total: Rows of the input; ``None`` where the file does not say.
        whole: Whether all rows are there, and the output is about to be put in place.
        started: When it was started first, in Unix seconds; 0 before.
        ended: When it ended; 0 before.
        attempts: How often in a row it broke off without a new row on disk.
        due: Not started before, in Unix seconds.
        error: Why it failed, or broke off last: one line.
    """

    id: str
    number: int
    model: str
    input: str
    output: str
    by: str
    created: float
    version: str = ""
    keys: tuple[str, ...] = ()
    all_columns: bool = False
    replace: bool = False
    reason: str = ""
    state: State = State.QUEUED
    answered_by: str = ""
    rows: int = 0
    failed: int = 0
    total: int | None = None
    whole: bool = False
    started: float = 0.0
    ended: float = 0.0
    attempts: int = 0
    due: float = 0.0
    error: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it waits or runs."""
        return self.state in OPEN

    def changed(self, **values: Any) -> BatchRecord:
        """The record with other values."""
        return msgspec.structs.replace(self, **values)
