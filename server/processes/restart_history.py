"""The deaths of each process and their causes, in a file of the run directory.

The supervisor writes it, control reads it: of a process that cannot even start nobody else knows.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from penstock.monitoring.files.atomic_file import replace_file

from .restart import HEALTHY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessHistory:
    """The deaths of one process.

    Attributes:
        process: ``control``, ``monitor``, ``shadow`` or ``worker-<n>``.
        deaths: Since the server started.
        short: Number of them in a row, up to the last, that came after a short life.
        last_exit: End of the last life, as words.
        died_at: Unix seconds of the last death.
        again_at: Unix seconds of the start after it.
    """

    process: str
    deaths: int
    short: int
    last_exit: str
    died_at: float
    again_at: float

    def failing(self, now: float) -> bool:
        """True if the process has died young again and again, and has not lived long since.

        Args:
            now: Unix seconds.
        """
        return self.short > 1 and now < self.again_at + HEALTHY_SECONDS

    def trouble(self, now: float) -> str:
        """A sentence for the operator; empty while all is well."""
        if not self.failing(now):
            return ""
        wait = self.again_at - now
        then = f"it is started again in {wait:.0f} s" if wait > 0 else "it was just started again"
        return (
            f"it does not stay up: it died {self.short} times in a row, {self.deaths} in all; the "
            f"last time it {self.last_exit}, {now - self.died_at:.0f} s ago; {then}"
        )


def write_history(path: Path, histories: Iterable[ProcessHistory]) -> None:
    """Replace the file at once."""
    content = json.dumps([asdict(history) for history in histories])
    replace_file(path, content.encode(), synced=False)


def read_history(path: Path) -> tuple[ProcessHistory, ...]:
    """Read the histories that `write_history` wrote; empty if no process has died yet."""
    try:
        return tuple(ProcessHistory(**one) for one in json.loads(path.read_text()))
    except FileNotFoundError:
        return ()
