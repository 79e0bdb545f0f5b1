"""What the monitor process does with samples: one small contract for everybody who wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .samples import BatchSample


class Consumer(Protocol):
    """Someone who looks at samples; all calls come from the one working thread of the monitor.

    An exception is logged and the other consumers go on. A frame that was under way when the
    monitor was killed is sent again: what a consumer has put on a disk by itself may then come a
    second time, and what it kept in memory is gone either way.
    """

    def take(self, samples: Sequence[BatchSample]) -> None:
        """Look at samples of one worker, in the order in which they were answered there."""
        ...

    def tick(self, now: float) -> None:
        """A second has passed, roughly; `now` is Unix seconds. Time to write, close, tell."""
        ...

    def close(self) -> None:
        """The monitor ends; nothing is called after this."""
        ...
