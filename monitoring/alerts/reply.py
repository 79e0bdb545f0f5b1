"""The result of an attempt to tell a sink."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of an attempt.

    Attributes:
        status: HTTP status; 0 when there was no answer.
        detail: One line for people.
        retry_after: Seconds that the receiver asked to wait; 0 if it did not.
        done: Whether the receiver has it.
    """

    status: int
    detail: str
    retry_after: float = 0.0
    done: bool = False
