"""Decides whether the copy of a version without a manifest is complete.

No program reports the end of a copy. A copy counts as complete when

- its files have kept size and time of change for a window, *and*
- its model file is whole: a protobuf message that ends where the file ends, has a graph, and finds
  its external data, *and*
- its content was the same at two readings that lie a window apart: some writers change a file
  without changing its times, *and*
- nothing in it looks unwritten, or it has kept still for much longer: a copy tool that reserves the
  full size first leaves holes or zeros when it stalls, and a model that lacks its last bytes may
  lack an import of an operator set. A complete model with such parts is taken in the end.

A version that was there for long, as at the start of a server, needs one reading.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from penstock.server.files.listing import list_files
from penstock.server.files.safe_files import open_directory

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.server.files.listing import FileFact
    from penstock.server.files.roots import Roots

    from .content import Content

#: Windows, and seconds at most, for which files with a hole must keep still, files with long runs
#: of zeros, models without an import, and files of which one reading is enough.
_HOLE: Final = (300, 600.0)
_ZEROS: Final = (30, 60.0)
_IMPORTS: Final = (10, 20.0)
_LONG: Final = (30, 60.0)


@dataclass(frozen=True, slots=True)
class Sighting:
    """The observed files of a version, and the time since they are unchanged.

    Attributes:
        files: The files with sizes and times of change.
        since: Time of the first observation of exactly these files, monotonic seconds.
        content: The content that was read; ``None`` before.
        read_at: End of the reading, monotonic seconds.
    """

    files: tuple[FileFact, ...]
    since: float
    content: Content | None = None
    read_at: float = 0.0

    def with_content(self, content: Content, now: float) -> Sighting:
        """The sighting with the content of a first reading."""
        return replace(self, content=content, read_at=now)


class Step(Enum):
    """The next step with a version."""

    WAIT = "wait"
    READ = "read"
    TAKE = "take"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The next step with a version, and the reason for waiting."""

    step: Step
    reason: str = ""


def look(directory: Path, roots: Roots | None = None) -> tuple[FileFact, ...]:
    """List the present files.

    Raises:
        ModelRefused: There is no such directory, or something in it is no file that may be read.
        OSError: They cannot be listed now.
    """
    with open_directory(directory, roots) as folder:
        return tuple(list_files(folder))


def sight(
    previous: Sighting | None,
    files: tuple[FileFact, ...],
    now: float,
    unchanged_seconds: float = 0.0,
) -> Sighting:
    """The sighting after a further observation: the previous one if nothing changed.

    Args:
        previous: The last sighting.
        files: The present files.
        now: Monotonic seconds.
        unchanged_seconds: Seconds since the last change, by the file system; with it a server that
            starts loads at once what was copied yesterday. It must come from the
            time of change of the inode, which no copy tool can set back.
    """
    if previous is not None and previous.files == files:
        return previous
    return Sighting(files, now - max(0.0, unchanged_seconds))


def check(sighting: Sighting, now: float, window_seconds: float) -> Verdict:
    """Decide the next step with the version. Pure.

    Args:
        sighting: The last sighting.
        now: Monotonic seconds.
        window_seconds: The window; 0 takes a complete model at once.
    """
    if not sighting.files:
        return Verdict(Step.WAIT, "there are no files yet")
    still = now - sighting.since
    if still < window_seconds:
        return Verdict(
            Step.WAIT,
            f"its files changed {still:.1f} s ago; waiting until they have kept still for "
            f"{window_seconds:g} s",
        )
    content = sighting.content
    if content is None:
        return Verdict(Step.READ)
    doubts = (content.hole, _HOLE), (content.zeros, _ZEROS), (content.imports, _IMPORTS)
    for blank, required in doubts:
        if blank and still < (needed := _seconds(required, window_seconds)):
            return Verdict(
                Step.WAIT,
                f"{blank}, as in a file that is still being copied; waiting until its files have "
                f"kept still for {needed:g} s; `penstock push` publishes such a file at once",
            )
    if still >= _seconds(_LONG, window_seconds) or now - sighting.read_at >= window_seconds:
        return Verdict(Step.TAKE)
    return Verdict(
        Step.WAIT, f"its content is read a second time, {window_seconds:g} s after the first"
    )


def _seconds(required: tuple[int, float], window_seconds: float) -> float:
    windows, most = required
    return min(windows * window_seconds, max(most, window_seconds))
