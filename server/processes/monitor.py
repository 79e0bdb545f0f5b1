"""The monitor process: takes the samples of all workers, keeps them and looks at them.

Sockets are served on the event loop; everything else happens in one working thread, in order of
arrival. It takes what the processors have left over: what does not fit is dropped by the workers
and counted there. When it dies, the workers keep what it has not acknowledged, and send it again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from penstock.monitoring.featurizers import Featurizers
from penstock.monitoring.lag import Lag
from penstock.monitoring.ledger import Ledger
from penstock.monitoring.losses import Losses
from penstock.monitoring.metrics import CounterFile
from penstock.monitoring.receiver import Receiver
from penstock.server.feedback.desk import FeedbackDesk
from penstock.server.feedback.monitor_end import MonitorEnd
from penstock.server.feedback.wiring import truth_keeper

from .child import Birth, run
from .monitor_socket import MonitorSocket
from .monitor_wiring import MonitorContext, consumers, journal

if TYPE_CHECKING:
    from collections.abc import Callable

LOG = logging.getLogger("penstock.monitor")

#: Predictions come first, on the same processors, always.
NICENESS: Final = 19
#: Rows taken are committed and acknowledged this often.
COMMIT_SECONDS: Final = 1.0
#: What workers have sent is still in their sockets when they are gone.
LAST_SECONDS: Final = 3.0


class MonitorProcess:
    """Moves frames from the sockets to the working thread, and acknowledgements back.

    Args:
        receiver: Used in the working thread only.
        socket: Where the workers are.
        thread: The working thread.
        clock: Unix seconds.
    """

    def __init__(
        self,
        receiver: Receiver,
        socket: MonitorSocket,
        thread: ThreadPoolExecutor,
        clock: Callable[[], float],
    ) -> None:
        self._receiver = receiver
        self._socket = socket
        self._clock = clock
        self._thread = thread
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until `stopping` is set, then finish what has arrived."""
        loop = asyncio.get_running_loop()
        due = loop.time() + COMMIT_SECONDS
        while not self.stopping.is_set():
            await self._socket.wait_frames(self.stopping, max(0.0, due - loop.time()))
            await self._take()
            if loop.time() >= due:
                await self._commit(tick=True)
                due = loop.time() + COMMIT_SECONDS
        ended = asyncio.create_task(self._socket.wait_ended(LAST_SECONDS))
        while not ended.done():
            await self._socket.wait_frames(self.stopping, 0.05)
            await self._take()
            await self._commit(tick=False)
        await self._take()
        await loop.run_in_executor(self._thread, self._receiver.close)
        self._thread.shutdown()

    async def _take(self) -> None:
        frames = self._socket.take()
        if frames:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._work, frames)

    def _work(self, frames: list[tuple[str, int, dict[tuple[str, str], int], bytes]]) -> None:
        for frame in frames:
            self._receiver.take(*frame)

    async def _commit(self, *, tick: bool) -> None:
        def commit() -> None:
            now = self._clock()
            self._receiver.commit(now)
            if tick:
                self._receiver.tick(now)

        await asyncio.get_running_loop().run_in_executor(self._thread, commit)
        self._socket.acknowledge()


async def monitor(birth: Birth, clock: Callable[[], float] = time.time) -> None:
    """Take samples until told to stop; `clock` gives Unix seconds."""
    os.nice(NICENESS)
    config = birth.config
    assert config.state_dir is not None
    state = config.state_dir / "monitor"
    with suppress(OSError):  # the log tells, and counts what it cannot write
        state.mkdir(mode=0o700, exist_ok=True)
    counters = CounterFile.create(birth.directory.counters, birth.name)
    epoch = str(birth.directory.address.stat().st_mtime_ns)
    context = MonitorContext(config, birth.directory, state, counters, epoch, clock)
    keeper = truth_keeper(config, birth.directory.target, state)
    looking = [*consumers(context), *([] if keeper is None else [keeper])]
    thread = ThreadPoolExecutor(1, "penstock-monitor")
    ledger = Ledger()
    socket = MonitorSocket(ledger.kept, MonitorEnd(FeedbackDesk(keeper, clock), thread).serve)
    looking.append(Losses(birth.directory.counters, ledger, counters, socket.present))
    looking.append(Lag(counters, clock))
    receiver = Receiver(looking, journal(context), ledger, clock, Featurizers.installed())
    process = MonitorProcess(receiver, socket, thread, clock)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, process.stopping.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
    birth.watch_parent(process.stopping.set)
    await socket.listen(birth.directory.monitor_socket)
    if config.monitor_priority == "idle":
        only_when_idle()
    await process.run()
    socket.close()
    counters.close()


def only_when_idle() -> None:
    """From now on run only when a processor has nothing else to do.

    A low priority alone is not enough: Linux lets whoever runs finish a slice of some milliseconds,
    and a prediction that arrives meanwhile waits. It may not take effect: then it is that.
    """
    with suppress(AttributeError, OSError):  # not on every platform
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


if __name__ == "__main__":
    run(monitor)
