"""The contract of versions without a model of their own: other models answer their requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .request import InferenceRequest


class Composite(Protocol):
    """Answers the requests of one scheduled model by requests to others.

    Until a request is answered by `penstock.batching.scheduler.Scheduler.deliver`, or withdrawn,
    its rows are in `ScheduledModel.waiting_rows`, and `InferenceRequest.queue` is a waiting room of
    the composite.
    """

    def begin(self, request: InferenceRequest) -> None:
        """Begin with an admitted request. Must not raise."""
        ...
