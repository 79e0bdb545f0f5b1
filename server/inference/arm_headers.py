"""The header lines that tell a client which arm of a split answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.server.rollout.routing import CANARY

if TYPE_CHECKING:
    from penstock.server.serving.active_split import Assignment

STABLE_LINE: Final = b"x-penstock-arm: stable\r\n"
CANARY_LINE: Final = b"x-penstock-arm: canary\r\n"
FALLBACK_LINE: Final = b"x-penstock-fallback: canary\r\n"


def lines_of(assignment: Assignment) -> bytes:
    """Header lines that tell the arm, and whether stable answered in the canary's place."""
    if assignment.arm != CANARY:
        return STABLE_LINE
    return CANARY_LINE if assignment.error is None else CANARY_LINE + FALLBACK_LINE
