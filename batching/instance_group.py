"""The threads that run a group of models, with their scheduler state and dispatcher.

All models that run in this process share one group, so that their threads are as many as there are
processors. An isolated model has a group of its own with a thread for each of its processes: these
threads only wait, and a process that hangs keeps no other model waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .dispatcher import Dispatcher
from .scheduler_state import SchedulerState

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from .executor import Executor
    from .marks import RunMarks


class InstanceGroup:
    """Execution threads, with the state and the dispatcher of their models.

    Args:
        loop: The event loop of everything but the runs.
        threads: Number of threads.
        clock: Monotonic seconds.
        executor: Makes the execution threads.
        inline_seconds: Runs predicted to be no longer stay on the loop; 0 for none.
        marks: Holds the runs on the loop.

    Attributes:
        state: The state that the policy reads.
        dispatcher: Starts runs and delivers answers.
    """

    __slots__ = ("dispatcher", "state")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        threads: int,
        clock: Callable[[], float],
        executor: Callable[..., Executor],
        *,
        inline_seconds: float = 0.0,
        marks: RunMarks | None = None,
    ) -> None:
        self.state = SchedulerState(threads, inline_seconds)
        self.dispatcher = Dispatcher(loop, self.state, clock, executor, marks)
