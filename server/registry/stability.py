"""Whether a version that somebody copies by hand, without a manifest, has arrived.

Nobody says when a copy ends. It counts as ended when its files have kept size and time of change
for a while *and* its model file is whole: a protobuf message that ends where the file ends, has a
graph, imports the operators it uses, and finds its external data. A copy that stands still half-way
fails the second test, one that is whole but still being written fails the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .refusal import ModelRefused
from .safe_files import list_files, open_directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .safe_files import FileFact


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a version's files looked like, and since when they have looked so.

    Attributes:
        files: With sizes and times of change.
        since: Of the first look that showed exactly these, in seconds of a monotonic clock.
    """

    files: tuple[FileFact, ...]
    since: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it may be loaded; if not, why not yet, or why not at all.

    Attributes:
        ready: Whether it may.
        reason: Empty if it may.
        refused: Whether it would not be taken as it is, however long one waited.
    """

    ready: bool
    reason: str = ""
    refused: bool = False


def look(directory: Path) -> tuple[FileFact, ...]:
    """The files as they are now; empty if there are none, or they cannot be listed."""
    try:
        with open_directory(directory) as root:
            return tuple(list_files(root))
    except ModelRefused:
        return ()


def sight(
    previous: Sighting | None,
    files: tuple[FileFact, ...],
    now: float,
    unchanged_seconds: float = 0.0,
) -> Sighting:
    """The sighting after one more look: the previous one if nothing changed.

    Args:
        previous: From the last look.
        files: As they are now.
        now: Of a monotonic clock.
        unchanged_seconds: For how long the file system says that they have been so; this is what
            lets a server that starts load at once what was copied yesterday.
    """
    if previous is not None and previous.files == files:
        return previous
    return Sighting(files, now - max(0.0, unchanged_seconds))


def judge(
    sighting: Sighting, now: float, window_seconds: float, inspect: Callable[[], object]
) -> Verdict:
    """Whether the version has arrived.

    Args:
        sighting: The last one.
        now: Of the same clock.
        window_seconds: For how long the files must have kept still.
        inspect: `penstock.server.registry.inspection.inspect_version` of the directory. Called only
            once they have, so a scan that comes by while gigabytes are copied costs a listing.
    """
    if not sighting.files:
        return Verdict(ready=False, reason="there are no files yet")
    still = now - sighting.since
    if still < window_seconds:
        return Verdict(
            ready=False,
            reason=f"its files changed {still:.1f} s ago; waiting until they have kept still for "
            f"{window_seconds:g} s",
        )
    try:
        inspect()
    except ModelRefused as refusal:
        return Verdict(ready=False, reason=str(refusal), refused=True)
    return Verdict(ready=True)
