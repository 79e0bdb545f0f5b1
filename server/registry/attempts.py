"""Failed attempts of the intake, and the time of the next one.

A refusal holds while the files are the same. It is checked again from time to time, because some
writers change a file without changing its times. An error of the machine (no room, no descriptors,
an error of the disk) does not count against the version, and is soon tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from penstock.server.files.listing import FileFact

    Files = tuple[FileFact, ...]
    Key = tuple[str, int]

#: First and longest wait in seconds, after an error of the machine and after a refusal.
TRANSIENT_SECONDS: Final = (1.0, 30.0)
REFUSED_SECONDS: Final = (30.0, 600.0)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A failed attempt.

    Attributes:
        files: The files at that time.
        reason: The error.
        tries: Number of failed attempts with these files.
        due: Time of the next attempt, monotonic seconds.
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
    """The failed attempts by model and version."""

    def __init__(self) -> None:
        self._failed: dict[Key, Attempt] = {}

    def pending(self, key: Key, files: Files, now: float) -> Attempt | None:
        """The last failed attempt, if the next one is not due yet."""
        last = self._failed.get(key)
        if last is None or last.files != files or now >= last.due:
            return None
        return last

    def failed(
        self, key: Key, files: Files, reason: str, now: float, *, transient: bool
    ) -> Attempt:
        """Note a failed attempt; the wait for the next one doubles."""
        last = self._failed.get(key)
        same = last is not None and last.files == files and last.transient == transient
        tries = last.tries + 1 if same and last is not None else 1
        first, longest = TRANSIENT_SECONDS if transient else REFUSED_SECONDS
        wait = min(first * 2.0 ** min(tries - 1, 20), longest)
        attempt = self._failed[key] = Attempt(files, reason, tries, now + wait, transient)
        return attempt

    def succeeded(self, key: Key) -> None:
        """Forget the failed attempts of a version."""
        self._failed.pop(key, None)

    def keep(self, keys: Collection[Key]) -> None:
        """Forget all versions but these."""
        self._failed = {key: one for key, one in self._failed.items() if key in keys}
