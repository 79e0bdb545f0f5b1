"""The records of batch jobs on disk: a small file for each, replaced as a whole."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

import msgspec

from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.decoding import ContentError, read_json

from .record import BatchRecord

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger("penstock.batches")
#: In the state directory.
DIRECTORY: Final = "batches"
_MAX_BYTES: Final = 1 << 20
_NAME: Final = re.compile(r"([0-9a-f]{16})\.json")


class RecordFiles:
    """The records of one server.

    Args:
        path: Their directory; made with the first record.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> list[BatchRecord]:
        """All records. A damaged file is left out, and said so in the log."""
        found = []
        try:
            paths = sorted(self._path.iterdir())
        except FileNotFoundError:
            return []
        for path in paths:
            name = _NAME.fullmatch(path.name)
            if name is None:
                continue
            try:
                record = read_json(BatchRecord, read_bounded(path, _MAX_BYTES), str(path))
            except (OSError, ContentError) as error:
                LOG.error("the record of a batch is left out: %s", error)  # noqa: TRY400  one line says it
                continue
            if record.id == name[1]:
                found.append(record)
        return found

    def write(self, record: BatchRecord) -> None:
        """Keep a record; when this returns it is on disk.

        Raises:
            OSError: The record on disk is as it was.
        """
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(self._path / f"{record.id}.json", msgspec.json.encode(record), 0o600)

    def remove(self, record: BatchRecord) -> None:
        """Keep a record no longer."""
        (self._path / f"{record.id}.json").unlink(missing_ok=True)
