"""What could not be taken in, and when it is tried again.

A refusal holds as long as the files are the same, and is looked at again from time to time all the
same: some writers change a file without changing its times. What failed because of the machine (no
room, no descriptors, an error of the disk) says nothing about the version and is soon tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from penstock.server.files.listing import FileFact

    Files = tuple[FileFact, ...]
    Key = tuple[str, int]

#: First and longest wait, after an error of the machine and after a refusal.
TRANSIENT_SECONDS: Final = (1.0, 30.0)
REFUSED_SECONDS: Final = (30.0, 600.0)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One that failed.

    Attributes:
        files: As they were.
        reason: Why.
        tries: How many failed for files like these.
        due: When the next one is, of a monotonic clock.
        transient: Whether the machine was at fault and not the version.
    """

    files: Files
    reason: str
    tries: int
    due: float
    transient: bool

    def told(self, now: float) -> str:
        """The reason, and when it is tried again if that is soon."""
        if not self.transient:
            return self.reason
        left = max(0.0, self.due - now)
        return f"waiting: {self.reason}; tried {self.tries} times, again in {left:.0f} s"


class Attempts:
    """The failed ones by model and version."""

    def __init__(self) -> None:
        self._failed: dict[Key, Attempt] = {}

    def pending(self, key: Key, files: Files, now: float) -> Attempt | None:
        """The last one, if nothing is to be tried now."""
        last = self._failed.get(key)
        if last is None or last.files != files or now >= last.due:
            return None
        return last

    def failed(
        self, key: Key, files: Files, reason: str, now: float, *, transient: bool
    ) -> Attempt:
        """Note one more; the wait for the next doubles."""
        last = self._failed.get(key)
        same = last is not None and last.files == files and last.transient == transient
        tries = last.tries + 1 if same and last is not None else 1
        first, longest = TRANSIENT_SECONDS if transient else REFUSED_SECONDS
        wait = min(first * 2.0 ** min(tries - 1, 20), longest)
        attempt = self._failed[key] = Attempt(files, reason, tries, now + wait, transient)
        return attempt

    def succeeded(self, key: Key) -> None:
        """Forget it."""
        self._failed.pop(key, None)

    def keep(self, keys: Collection[Key]) -> None:
        """Forget all others."""
        self._failed = {key: one for key, one in self._failed.items() if key in keys}
