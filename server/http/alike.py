"""Calls that run together: those of a lane, and all those of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.batching.request import Batch

    from .call import Call
    from .lane import Lane

Key = TypeVar("Key")


class Alike:
    """Calls of a lane, which may run as one request of many rows.

    Attributes:
        lane: Where they met.
        calls: One row each.
        numbers: Their numbers, as text.
    """

    __slots__ = ("calls", "lane", "numbers")

    def __init__(self, lane: Lane, calls: list[Call], numbers: list[bytes]) -> None:
        self.lane = lane
        self.calls = calls
        self.numbers = numbers

    def parts(self, size: int) -> Iterator[Alike]:
        """The same in parts of at most so many calls."""
        for first in range(0, len(self.calls), size):
            last = first + size
            yield Alike(self.lane, self.calls[first:last], self.numbers[first:last])

    def since(self, first: int) -> Alike:
        """The same from this call on."""
        return Alike(self.lane, self.calls[first:], self.numbers[first:])

    def bodies(self) -> Iterator[tuple[Call, bytes]]:
        """Each call with its body, as it came."""
        for call, numbers in zip(self.calls, self.numbers, strict=True):
            yield call, self.lane.body(numbers)

    def by(self, keys: Sequence[Key]) -> dict[Key, Alike]:
        """The same in parts of calls with the same key, one key for each call."""
        parts: dict[Key, Alike] = {}
        for key, call, numbers in zip(keys, self.calls, self.numbers, strict=True):
            if key not in parts:
                parts[key] = Alike(self.lane, [], [])
            parts[key].calls.append(call)
            parts[key].numbers.append(numbers)
        return parts


def calls_of(batch: Batch) -> tuple[list[Call], list[int]]:
    """All calls in a run, and the row in which each begins."""
    calls: list[Call] = []
    firsts: list[int] = []
    for request, first in zip(batch.requests, batch.offsets, strict=False):
        context = request.context
        if type(context) is Alike:
            calls += context.calls
            firsts += range(first, first + request.rows)
        else:
            calls.append(context)
            firsts.append(first)
    return calls, firsts
