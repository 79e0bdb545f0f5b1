"""The waiting requests of one batch class."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from .cost import CostModel
    from .request import InferenceRequest


class Owner(Protocol):
    """Counts the waiting rows of all its queues."""

    waiting_rows: int


OwnerT = TypeVar("OwnerT", bound=Owner)


class BatchQueue(Generic[OwnerT]):
    """First in, first out, counted in rows. The head is never a cancelled request.

    Attributes:
        owner: The scheduled model of the requests.
        costs: Cost model of this class.
        solo: Whether requests of this queue never share a run.
        requests: Waiting, including cancelled ones that are not at the head.
        rows: Waiting rows, without the cancelled.
        bounded: Whether a finite deadline may be among the waiting.
        running: Batches of this queue being run.
    """

    __slots__ = (
        "_cancelled",
        "bounded",
        "costs",
        "owner",
        "requests",
        "rows",
        "running",
        "solo",
    )

    def __init__(self, owner: OwnerT, costs: CostModel, *, solo: bool = False) -> None:
        self.owner = owner
        self.costs = costs
        self.solo = solo
        self.requests: deque[InferenceRequest] = deque()
        self.rows = 0
        self.bounded = False
        self.running = 0
        self._cancelled = 0

    def take(self, rows: int) -> list[InferenceRequest]:
        """Remove requests from the head: at least one, and no more than fit in ``rows``.

        Of a head that is divisible and has more, the rows behind these stay.
        """
        requests = self.requests
        if requests[0].divisible and requests[0].rows > rows:
            rest = requests[0].cut(rows)
            rest.queue = self
            requests.insert(1, rest)
        if self.rows <= rows and not self._cancelled and not self.solo:
            taken = list(requests)
            requests.clear()
            self.owner.waiting_rows -= self.rows
            self.rows = 0
            self.bounded = False
            for request in taken:
                request.queue = None
            return taken
        taken = [requests.popleft()]
        total = taken[0].rows
        while requests and not self.solo:
            request = requests[0]
            if request.cancelled:
                self._cancelled -= 1
            elif total + request.rows <= rows:
                taken.append(request)
                total += request.rows
            else:
                break
            requests.popleft()
        for request in taken:
            request.queue = None
        self.rows -= total
        self.owner.waiting_rows -= total
        self._trim()
        return taken

    def discard(self, request: InferenceRequest) -> None:
        """Forget a waiting request that has been cancelled; amortised O(1)."""
        request.queue = None
        self.rows -= request.rows
        self.owner.waiting_rows -= request.rows
        self._cancelled += 1
        if self._cancelled * 2 > len(self.requests):
            self.requests = deque(r for r in self.requests if not r.cancelled)
            self._cancelled = 0
        self._trim()

    def _trim(self) -> None:
        requests = self.requests
        while requests and requests[0].cancelled:
            requests.popleft()
            self._cancelled -= 1
        if not requests:
            self.bounded = False

    def drop(self, count: int) -> list[InferenceRequest]:
        """Remove the first ``count`` entries; returns those that were not cancelled."""
        dropped = []
        for _ in range(count):
            request = self.requests.popleft()
            if request.cancelled:
                self._cancelled -= 1
                continue
            self.rows -= request.rows
            self.owner.waiting_rows -= request.rows
            request.queue = None
            dropped.append(request)
        self._trim()
        return dropped
