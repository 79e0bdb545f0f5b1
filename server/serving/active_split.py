"""A split whose two versions are loaded, and the part that one request has in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.server.rollout.routing import CANARY, STABLE, Chooser

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.server.errors import ApiError
    from penstock.server.rollout.traffic import Split

    from .servable import Servable

#: Units whose bad answers are remembered; beyond that none is counted any more.
MAX_UNITS: Final = 65_536


class ActiveSplit:
    """A split between two loaded versions; replaced as a whole when either or the split changes.

    Attributes:
        split: What was asked for.
        stable: The default version.
        canary: The candidate.
        chooser: Chooses between them.
        sticky: Name of the header that decides, in lower case; empty for the request id.
        plain: Part of every request of arm stable that counts.
    """

    __slots__ = ("_bad", "canary", "chooser", "plain", "split", "stable", "sticky")

    def __init__(self, split: Split, stable: Servable, canary: Servable) -> None:
        self.split = split
        self.stable = stable
        self.canary = canary
        self.chooser = Chooser(split)
        self.sticky = split.sticky.lower().encode()
        self.plain = Assignment(self, STABLE)
        self._bad: set[tuple[bytes, int]] = set()

    def same_as(self, other: ActiveSplit | None) -> bool:
        """Whether both share the same requests between the same loaded versions."""
        return (
            other is not None
            and self.split == other.split
            and self.stable is other.stable
            and self.canary is other.canary
        )

    def is_first(self, unit: bytes, kind: int) -> bool:
        """Whether the unit had no bad answer of this kind before.

        One user may repeat a request that fails a hundred times: that is evidence once.
        """
        if len(self._bad) >= MAX_UNITS:
            return False
        before = len(self._bad)
        self._bad.add((unit, kind))
        return len(self._bad) > before


class Assignment:
    """The arm that a request was given, and what became of it there.

    Attributes:
        active_split: Of which split.
        arm: ``stable`` or ``canary``.
        counted: Whether it is evidence; one that was forced into its arm is not.
        body: Of the request, for another try on stable; empty in arm stable.
        error: What the canary failed with, once stable is asked in its place.
        doubt: The counter of that, if it holds the inputs to be at fault: it counts if stable
            answers them.
    """

    __slots__ = ("active_split", "arm", "body", "counted", "doubt", "error")

    def __init__(
        self, active_split: ActiveSplit, arm: str, body: bytes = b"", *, counted: bool = True
    ) -> None:
        self.active_split = active_split
        self.arm = arm
        self.counted = counted
        self.body = body
        self.error: ApiError | None = None
        self.doubt: int | None = None

    @property
    def tries_canary(self) -> bool:
        """Whether it is the canary's turn, and stable was not asked yet."""
        return self.error is None and self.arm == CANARY


def active_split_of(
    split: Split | None,
    default: Servable | None,
    versions: Mapping[str, Servable],
    before: ActiveSplit | None,
) -> ActiveSplit | None:
    """The split between loaded versions; ``None`` while there is none to be had.

    Args:
        split: What is asked for.
        default: Serves requests that name no version.
        versions: What is loaded.
        before: The one in force, which is kept if it is the same.
    """
    canary = None if split is None else versions.get(str(split.candidate))
    if split is None or default is None or canary is None or canary is default:
        return None
    active_split = ActiveSplit(split, default, canary)
    return before if before is not None and active_split.same_as(before) else active_split
