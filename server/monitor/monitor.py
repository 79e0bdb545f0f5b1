"""The monitor process: takes the samples of all workers, keeps them and looks at them.

Sockets are served on the event loop; everything else happens in one working thread, in order of
arrival. It takes what the processors have left over: samples wait in the spool meanwhile, and what
finds no room there is dropped by the workers and counted. When it dies, its next life goes on with
what is in the spool.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from penstock.batching.contained import contained
from penstock.monitoring.drift.learnt import LearntFaults
from penstock.monitoring.feedback.label_summaries import LabelSummaries
from penstock.monitoring.metrics.liveness import holds_counters
from penstock.monitoring.metrics.metrics import CounterFile
from penstock.monitoring.samples.featurizers import Featurizers
from penstock.monitoring.samples.lag import Lag
from penstock.monitoring.samples.lost_rows import LostRows
from penstock.monitoring.samples.received_frames import ReceivedFrames
from penstock.monitoring.samples.receiver import Receiver
from penstock.monitoring.samples.segmenter import FILE, Segmenter
from penstock.monitoring.samples.spool_reader import SpoolReader
from penstock.server.processes.process_context import ProcessContext, run

from .consumers import MonitorContext, consumers, journal
from .drift_setup import watch_drift
from .feedback_endpoint import FeedbackEndpoint
from .feedback_service import FeedbackService
from .feedback_setup import feedback_store
from .monitor_socket import MonitorSocket
from .overview import OVERVIEW, Overview

if TYPE_CHECKING:
    from collections.abc import Callable


#: Predictions come first, on the same processors, always.
NICENESS: Final = 19
#: Rows taken are committed and acknowledged this often.
COMMIT_SECONDS: Final = 1.0
#: Between two looks at the spool while little comes.
CHECK_SECONDS: Final = 0.25
#: Taken at once, before anybody else has a turn in the working thread.
PIECE_BYTES: Final = 2 << 20
#: What workers have left behind is taken when they are gone, for so long at most.
LAST_SECONDS: Final = 4.0


class MonitorProcess:
    """Runs the monitor's work in its working thread: takes samples, commits and ticks.

    Args:
        receiver: Used in the working thread only.
        reader: Reads the spool; used in the working thread only.
        thread: The working thread.
        clock: Unix seconds.
        is_alive: Whether an incarnation of a worker still is.
    """

    def __init__(
        self,
        receiver: Receiver,
        reader: SpoolReader,
        thread: ThreadPoolExecutor,
        clock: Callable[[], float],
        is_alive: Callable[[str], bool],
    ) -> None:
        self._receiver = receiver
        self._reader = reader
        self._clock = clock
        self._thread = thread
        self._is_alive = is_alive
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until `stopping` is set, then finish what has arrived."""
        loop = asyncio.get_running_loop()
        due = loop.time() + COMMIT_SECONDS
        while not self.stopping.is_set():
            if not await loop.run_in_executor(self._thread, contained, self._take):
                with suppress(TimeoutError):
                    async with asyncio.timeout(CHECK_SECONDS):
                        await self.stopping.wait()
            if loop.time() >= due:
                await loop.run_in_executor(self._thread, contained, self._commit)
                due = loop.time() + COMMIT_SECONDS
        end = loop.time() + LAST_SECONDS
        while await loop.run_in_executor(self._thread, contained, self._take) and loop.time() < end:
            pass
        await loop.run_in_executor(self._thread, contained, self._receiver.close)
        self._thread.shutdown()

    def _take(self) -> bool:
        """Take some of what was appended; returns whether there was so much that there is more."""
        frames = self._reader.read(PIECE_BYTES)
        for frame in frames:
            self._receiver.take(frame.incarnation, frame.number, frame.content)
        return sum(len(frame.content) for frame in frames) >= PIECE_BYTES // 2

    def _commit(self) -> None:
        now = self._clock()
        self._receiver.commit(now)
        self._reader.remove_kept(self._is_alive)
        self._receiver.tick(now)


async def monitor(process_context: ProcessContext, clock: Callable[[], float] = time.time) -> None:
    """Take samples until told to stop; `clock` gives Unix seconds."""
    os.nice(NICENESS)
    config = process_context.config
    assert config.state_dir is not None
    state = config.state_dir / "monitor"
    with suppress(OSError):  # the log tells, and counts what it cannot write
        state.mkdir(mode=0o700, exist_ok=True)
    counters = CounterFile.create(process_context.directory.counters, process_context.name)
    epoch = str(process_context.directory.address.stat().st_mtime_ns)
    context = MonitorContext(config, process_context.directory, state, counters, epoch, clock)
    target, labels = process_context.directory.target, LabelSummaries()
    store = feedback_store(config, target, state, clock, labels)
    learnt = LearntFaults(counters)
    drift = watch_drift(target, state, config.registry, learnt, clock)
    overview = Overview(drift.summaries, labels)
    looking = [*consumers(context, drift.consumers, learnt), store, overview]
    thread = ThreadPoolExecutor(1, "penstock-monitor")
    received_frames = ReceivedFrames()
    feedback = FeedbackEndpoint(FeedbackService(store, clock), thread)
    socket = MonitorSocket({"feedback": feedback.serve, OVERVIEW: overview.serve})
    reader = SpoolReader(process_context.directory.samples, received_frames.last)
    looking.append(
        LostRows(process_context.directory.counters, received_frames, counters, reader.present)
    )
    looking.append(Lag(counters, clock))
    featurizers, segmenter = Featurizers.installed(), Segmenter(state / FILE)
    receiver = Receiver(looking, journal(context), received_frames, clock, featurizers, segmenter)
    is_alive = partial(holds_counters, process_context.directory.counters)
    process = MonitorProcess(receiver, reader, thread, clock, is_alive)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, process.stopping.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
    process_context.watch_parent(process.stopping.set)
    await socket.listen(process_context.directory.monitor_socket)
    if config.monitor_priority == "idle":
        only_when_idle()
    await process.run()
    socket.close()
    counters.close()


def only_when_idle() -> None:
    """From now on run only when a processor has nothing else to do.

    A low priority alone is not enough: Linux lets a running process finish a slice of some
    milliseconds, and a prediction that arrives meanwhile waits. It may not take effect: then it is
    that.
    """
    with suppress(AttributeError, OSError):  # not on every platform
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


if __name__ == "__main__":
    run(monitor)
