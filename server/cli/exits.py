"""The exit statuses of every verb."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit status of a command; ``penstock --help`` lists them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    PARTIAL = 3
    INTERRUPTED = 130
    PIPE = 141

    @property
    def meaning(self) -> str:
        """One sentence for people."""
        return _MEANINGS[self]


_MEANINGS = {
    Exit.DONE: "done",
    Exit.FAILED: "it failed; diff found a difference, doctor a defect",
    Exit.USAGE: "the command line or the configuration is wrong",
    Exit.PARTIAL: "some rows were refused (feedback, batch)",
    Exit.INTERRUPTED: "Ctrl-C",
    Exit.PIPE: "the reader of the output went away",
}
