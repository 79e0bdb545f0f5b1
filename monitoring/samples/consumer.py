"""The contract of the monitor's consumers of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .samples import BatchSample


class Consumer(Protocol):
    """A consumer of samples; all calls come from the one working thread of the monitor.

    An exception is logged and the other consumers go on. A frame that was under way when the
    monitor was killed is sent again: samples that a consumer has written to a disk by itself may
    then come a second time, and samples that it kept in memory are lost.
    """

    def take(self, samples: Sequence[BatchSample]) -> None:
        """Take samples of one worker, in the order of their answers."""
        ...

    def tick(self, now: float) -> None:
        """Do periodic work, about once a second; `now` is Unix seconds."""
        ...

    def close(self) -> None:
        """End; no method is called after this."""
        ...
