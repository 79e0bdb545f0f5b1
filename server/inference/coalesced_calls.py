"""Calls that run together: the calls of a group, and all calls of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.batching.request import Batch

    from .call import Call

Key = TypeVar("Key")


class CallGroup(Protocol):
    """A group of calls; implemented by `CoalescingGroup` in `server.http.coalescing`."""

    def body(self, numbers: bytes) -> bytes:
        """The body of a call with these numbers, as it came."""
        ...


Group = TypeVar("Group", bound=CallGroup)


class CoalescedCalls(Generic[Group]):
    """Calls of one group that may run as one request of many rows.

    Attributes:
        group: The group of the calls.
        calls: The calls, one row each.
        numbers: The numbers of each call, as text or as the bytes of a tensor.
    """

    __slots__ = ("calls", "group", "numbers")

    def __init__(self, group: Group, calls: list[Call], numbers: list[bytes]) -> None:
        self.group = group
        self.calls = calls
        self.numbers = numbers

    def parts(self, size: int) -> Iterator[CoalescedCalls[Group]]:
        """Split the calls into parts of at most `size` calls."""
        for first in range(0, len(self.calls), size):
            last = first + size
            yield CoalescedCalls(self.group, self.calls[first:last], self.numbers[first:last])

    def since(self, first: int) -> CoalescedCalls[Group]:
        """The calls from position `first` on."""
        return CoalescedCalls(self.group, self.calls[first:], self.numbers[first:])

    def bodies(self) -> Iterator[tuple[Call, bytes]]:
        """Each call with its body, as it was sent."""
        for call, numbers in zip(self.calls, self.numbers, strict=True):
            yield call, self.group.body(numbers)

    def by(self, keys: Sequence[Key]) -> dict[Key, CoalescedCalls[Group]]:
        """Split the calls by key; `keys` has one key for each call."""
        parts: dict[Key, CoalescedCalls[Group]] = {}
        for key, call, numbers in zip(keys, self.calls, self.numbers, strict=True):
            if key not in parts:
                parts[key] = CoalescedCalls(self.group, [], [])
            parts[key].calls.append(call)
            parts[key].numbers.append(numbers)
        return parts


def calls_of(batch: Batch, *, alone: bool = False) -> tuple[list[Call], list[int]]:
    """All calls of a run, and the first row of each.

    Args:
        batch: The run.
        alone: Whether requests run alone. The scheduler counts each as one row; from here on the
            run has as many as its request.
    """
    calls: list[Call] = []
    firsts: list[int] = []
    for request, first in zip(batch.requests, batch.offsets, strict=False):
        context = request.context
        if type(context) is CoalescedCalls:
            calls += context.calls
            firsts += range(first, first + request.rows)
        else:
            calls.append(context)
            firsts.append(first)
    if alone and calls[0].message is not None:
        batch.count_rows(calls[0].message.rows)
    return calls, firsts
