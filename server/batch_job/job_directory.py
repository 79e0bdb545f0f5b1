"""The work of a batch job on disk: parts of its output, each of which is there whole or not at all.

The name of a part says which rows it has and where the input goes on, so that the directory is its
own record: a part that was renamed into place is done, and nothing else is. A job that was killed
goes on behind its last part.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from penstock.monitoring.files.atomic_file import drafted, replace_file, sync
from penstock.server.files.durable import remove_tree

from .chunk import Position

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_ABOUT: Final = "job.json"
_PART: Final = re.compile(r"(\d{15})-(\d{15})-(\d{18})-(\d{15})\.part")


class Part(NamedTuple):
    """A part of the output.

    Attributes:
        start: Number of its first row.
        end: The place in the input behind its last row.
        failed: Rows that were not answered.
        path: Path of its file.
    """

    start: int
    end: Position
    failed: int
    path: Path


def work_name(output: str) -> str:
    """Name of the directory of a job's work, beside the output of this name."""
    return f".{output}.batch"


def has_work(path: Path) -> bool:
    """Whether a directory has the work of a job that has not ended."""
    return (path / _ABOUT).exists()


class JobDirectory:
    """The directory of a job.

    Args:
        path: Path of the directory.

    Attributes:
        path: As given.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def about(self) -> dict[str, Any]:
        """What the job is whose work is here; empty if there is none."""
        try:
            found = json.loads((self.path / _ABOUT).read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def begin(self, about: dict[str, Any]) -> None:
        """Begin the work of another job; what is here goes."""
        for path in self.path.iterdir():
            if path.name != _ABOUT:
                path.unlink()
        replace_file(self.path / _ABOUT, json.dumps(about).encode())

    def parts(self) -> list[Part]:
        """The parts that are done, in order, from the first row on without a gap."""
        found = []
        for path in self.path.iterdir():
            if match := _PART.fullmatch(path.name):
                start, end, offset, failed = map(int, match.groups())
                found.append(Part(start, Position(end, offset), failed, path))
        found.sort()
        done: list[Part] = []
        for part in found:
            if part.start == (done[-1].end.row if done else 0):
                done.append(part)
        return done

    def commit(
        self, start: int, end: Position, failed: int, write: Callable[[Path], object]
    ) -> Part:
        """Write a part; when this returns it is on disk.

        Args:
            start: Number of its first row.
            end: The place in the input behind its last row.
            failed: Rows that were not answered.
            write: Writes the file.
        """
        name = f"{start:015}-{end.row:015}-{end.offset:018}-{failed:015}.part"
        path = self.path / name
        with drafted(path) as draft:
            write(draft)
        return Part(start, end, failed, path)

    def finish(
        self, output: Path, write: Callable[[Path], object], before: Callable[[], object]
    ) -> None:
        """Put the output in place, and remove the work: the record of it first.

        Args:
            output: Path of the output.
            write: Writes the file.
            before: Called when the whole output is on disk, before it takes its place.
        """
        whole = self.path / "whole"
        whole.unlink(missing_ok=True)
        write(whole)
        sync(whole)
        before()
        whole.replace(output)
        sync(output.parent)
        (self.path / _ABOUT).unlink()
        sync(self.path)
        remove_tree(self.path)
