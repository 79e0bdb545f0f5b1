"""The processes of a model: started, handed out for one run each, and started again.

All processes of a model are made by one thread of this class, because the kernel ends a child with
the thread that made it.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.batching.contained import text_of
from penstock.runtimes.contract import ModelAway, ModelExecutionError, ModelLoadError
from penstock.server.processes.restart import after_death

from .child_process import ChildEnded
from .limits import Death
from .model_process import ModelProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.runtimes.contract import Signature

    from .model_process import ModelOrder

    Description = tuple[Signature, Mapping[str, str]]

LOG = logging.getLogger("penstock.models")

#: How long a run waits for a process that is being started.
MOST_WAIT_SECONDS: Final = 20.0
#: How long an end waits for the processes to be gone.
_CLOSE_SECONDS: Final = 5.0


@dataclass(eq=False, slots=True)
class Slot:
    """The place of one process.

    Attributes:
        process: The process; ``None`` while there is none.
        due_at: Time at which the next one is to be started, monotonic seconds.
        started_at: Time at which this one, or the last one, was started.
        failures: Short lives in a row.
        deaths: Ends that nobody asked for, in all.
        last_end: End of the last process, in words.
    """

    process: ModelProcess | None = None
    due_at: float = 0.0
    started_at: float = 0.0
    failures: int = 0
    deaths: int = 0
    last_end: str = ""


class ProcessPool:
    """The processes of one model. Its methods may be called by several threads at once.

    Args:
        order: Order of each process.
        count: Number of processes.
        on_change: Told of each end of a process that nobody asked for, and of each that runs again
            (``None``).
        clock: Monotonic seconds.

    Attributes:
        slots: A place for each process.
    """

    def __init__(
        self,
        order: ModelOrder,
        count: int,
        on_change: Callable[[Death | None], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.slots = tuple(Slot() for _ in range(count))
        self._order = order
        self._on_change = on_change
        self._clock = clock
        self._changed = threading.Condition()
        self._idle: list[Slot] = []
        self._closed = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._opened: Future[Description] = Future()
        name = f"penstock-processes-{order.name}"
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def open(self, start: Callable[[Callable[[], None]], object]) -> Description:
        """Start all processes; returns what the model is.

        Args:
            start: Calls a function on a thread whose priority the processes shall have.

        Raises:
            ModelLoadError: It cannot be loaded.
        """
        start(self._thread.start)
        return self._opened.result()

    def acquire(self) -> Slot:
        """A process that is free, for one run; give it back by `release` or `bury`.

        Raises:
            ModelAway: There is none, and there will not be one soon.
            ModelExecutionError: The model is unloaded.
        """
        with self._changed:
            if self._idle and not self._closed:
                return self._idle.pop()
            until = self._clock() + MOST_WAIT_SECONDS
            while self._closed or not self._idle:
                if self._closed:
                    raise ModelExecutionError("the model is unloaded")
                now = self._clock()
                due_at = min(0.0 if one.process else one.due_at for one in self.slots)
                if due_at > until or now >= until:
                    raise self._away(due_at - now)
                self._changed.wait(until - now)
            return self._idle.pop()

    def release(self, slot: Slot) -> None:
        """Give a process back that is in order."""
        with self._changed:
            if not self._closed:
                self._idle.append(slot)
                self._changed.notify()
                return
        self.bury(slot, Death("crash", "was unloaded"))

    def bury(self, slot: Slot, death: Death) -> None:
        """Give a process back that is gone, or of no more use; another one is started in time."""
        process, now = slot.process, self._clock()
        assert process is not None
        with suppress(OSError):
            process.close()
        restart = after_death(slot.failures, slot.started_at, now)
        with self._changed:
            slot.process, slot.failures, slot.due_at = None, restart.failures, restart.at
            slot.deaths += 1
            slot.last_end = death.detail
            closed = self._closed
        if closed:  # its end was asked for
            return
        LOG.warning(
            "the process of %s %s; it is started again in %.1f s",
            self._order.name,
            death.detail,
            restart.at - now,
        )
        self._on_change(death)
        self._wake_up()

    def close(self) -> None:
        """End all processes."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
            for slot in self.slots:  # a load or a run that is under way ends with its process
                if slot.process is not None:
                    slot.process.child.kill()
        self._wake_up()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_SECONDS)

    def _wake_up(self) -> None:
        with self._changed:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def _away(self, seconds: float) -> ModelAway:
        ends = [one.last_end for one in self.slots if one.last_end]
        why = f": it {ends[-1]}" if ends else ""
        return ModelAway(
            f"no process of this model runs now{why}; it is started again in "
            f"{max(0.0, seconds):.0f} s",
            max(1.0, seconds),
        )

    # -- the thread ------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._open()
            while not self._closed:
                now = self._clock()
                for slot in self.slots:
                    if slot.process is None and slot.due_at <= now:
                        self._start_again(slot)
                self._wait()
        finally:
            with self._changed:
                idle, self._idle = self._idle, []
            for slot in idle:  # one that is busy is closed by the thread that uses it
                if slot.process is not None:
                    slot.process.close()
                    slot.process = None
            with self._changed:
                os.close(self._wake)
                self._wake = -1

    def _open(self) -> None:
        try:
            described = [self._start(slot) for slot in self.slots]
        except BaseException as error:  # noqa: BLE001  the one who waits is told
            self._closed = True
            for slot in self.slots:
                if slot.process is not None:
                    slot.process.close()
            if isinstance(error, ChildEnded):
                error = ModelLoadError(f"loading it failed: its process {error.death.detail}")
            elif isinstance(error, OSError):
                error = ModelLoadError(f"no process could be started for it: {error}")
            self._opened.set_exception(error)
            return
        for slot in self.slots:
            self.release(slot)
        self._opened.set_result(described[0])

    def _start(self, slot: Slot) -> Description:
        """Start a process, and have it load the model."""
        slot.started_at = self._clock()
        process = ModelProcess(self._order)
        with self._changed:
            slot.process = process
            if self._closed:
                process.child.kill()
        return process.load()

    def _start_again(self, slot: Slot) -> None:
        try:
            described = self._start(slot)
            if described != self._opened.result():
                raise ModelLoadError("has another signature than before")
        except ChildEnded as end:
            self.bury(slot, end.death)
        except Exception as error:  # noqa: BLE001  it is tried again
            death = Death("crash", f"could not load the model again: {text_of(error)}")
            if slot.process is not None:
                self.bury(slot, death)
            else:  # there is no process: of the machine, not of the model
                slot.failures, slot.due_at = 1, self._clock() + 1.0
                LOG.warning("no process could be started for %s: %s", self._order.name, error)
        else:
            LOG.info("%s runs again, in process %d", self._order.name, _pid(slot))
            self.release(slot)
            self._on_change(None)

    def _wait(self) -> None:
        """Wait until a process is to be started, or one that is idle has ended."""
        with self._changed:
            idle = {
                one.process.child.descriptor: one for one in self._idle if one.process is not None
            }
            due = [one.due_at for one in self.slots if one.process is None]
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        for descriptor in idle:
            poll.register(descriptor, select.POLLIN)
        pause = None if not due else max(0.0, min(due) - self._clock()) * 1000 + 1
        for descriptor, _ in poll.poll(pause):
            if descriptor == self._wake:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
            else:
                self._bury_idle(idle[descriptor])

    def _bury_idle(self, slot: Slot) -> None:
        with self._changed:
            if slot not in self._idle:  # its run finds out
                return
            self._idle.remove(slot)
        assert slot.process is not None
        self.bury(slot, slot.process.child.death())


def _pid(slot: Slot) -> int:
    return 0 if slot.process is None else slot.process.child.pid
