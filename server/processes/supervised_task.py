"""A background task that is started again when it ends.

An asyncio task that raises just ends: nobody is told, and what it did is not done any more.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from penstock.server.errors.incidents import Incidents

#: Pauses before the next start: the first, and twice as long after each short life up to the most.
FIRST_PAUSE_SECONDS: Final = 0.1
MAX_PAUSE_SECONDS: Final = 10.0
#: After a life of this length the pauses begin anew.
HEALTHY_SECONDS: Final = 30.0


class TaskEnded(Exception):
    """The work of a task came to an end, which it never should."""


class SupervisedTask:
    """Work that goes on until it is stopped. Make it while the event loop runs.

    Args:
        name: Description of the work, in words.
        work: Makes the coroutine that works until it is cancelled; called again after an error.
        incidents: Is told of each error.
        may_end: Whether the work may come to an end by itself; else that is an error, too.
        clock: Monotonic seconds.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Coroutine[Any, Any, None]],
        incidents: Incidents,
        *,
        may_end: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._name = name
        self._work = work
        self._incidents = incidents
        self._may_end = may_end
        self._clock = clock
        self._sleep = sleep
        self._task = asyncio.create_task(self._run(), name=name)

    async def stop(self) -> None:
        """Cancel the work and wait until it has ended. Never raises an error of the work."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = self._clock()
            error = await self._live()
            if error is None:
                return
            self._incidents.note(self._name, error)
            if self._clock() - began >= HEALTHY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            await self._sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    async def _live(self) -> BaseException | None:
        """Work; returns why that came to an end, ``None`` if it is well."""
        try:
            await self._work()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return error  # of something that the work waited for: not ours
        except GeneratorExit:  # the event loop is closed
            raise
        except BaseException as error:  # noqa: BLE001  it is started again
            return _inner(error)
        return None if self._may_end else TaskEnded("it came to an end")


def _inner(error: BaseException) -> BaseException:
    """The error itself, where a task group has one only."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
