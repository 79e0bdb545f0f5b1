"""Carries alerts to their sinks: a part of the monitor process that nothing else waits for.

Each attempt runs in a thread of its own, at most one per sink, so that a receiver that hangs delays
neither the samples nor the other receivers. What is on disk says what is still to be told: a
restart loses nothing, and tells nothing twice but what was under way, under the same id.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Final

from .deliveries import Deliveries
from .post import attempt
from .reply import Reply
from .retry import next_attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from penstock.monitoring.samples.samples import BatchSample

    from .alert import Alert
    from .alerts_file import AlertSettings, AlertsFile
    from .deliveries import Due
    from .mutes import Mute, MutesFile
    from .sink import Sink

    Post = Callable[[Alert, Sink, AlertSettings, float], Reply]

LOG = logging.getLogger("penstock.alerts")

#: An attempt that has not come back so long after its timeout is left to itself.
_GRACE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Running:
    """An attempt under way, and Unix seconds when it is left to itself."""

    due: Due
    sink: Sink
    until: float


class Notifier:
    """A consumer that takes no samples: it works at each tick.

    Args:
        alerts_path: File of the alert store.
        settings: Settings of the alerts file, with the sinks.
        post: Tells one sink, in a thread of its own.
        jitter: From 0 to 1, random.
        mutes: Alerts that are held back for a time.
    """

    def __init__(
        self,
        alerts_path: Path,
        settings: AlertsFile,
        post: Post = attempt,
        jitter: Callable[[], float] = random.random,
        mutes: MutesFile | None = None,
    ) -> None:
        self._deliveries = Deliveries(alerts_path)
        self._file = settings
        self._post = post
        self._jitter = jitter
        self._mutes = mutes
        self._followed: tuple[Mute, ...] = ()
        self._known: frozenset[str] = frozenset()
        self._running: dict[str, _Running] = {}
        self._lost: set[str] = set()
        self._replies: SimpleQueue[tuple[str, int, Reply]] = SimpleQueue()

    def take(self, samples: Sequence[BatchSample]) -> None:
        """Ignore samples."""

    def tick(self, now: float) -> None:
        """Record the attempts that have ended, and begin those that are due."""
        self._collect(now)
        settings = self._file.current()
        if frozenset(settings.sinks) != self._known:
            self._deliveries.abandon(frozenset(settings.sinks), now)
            self._known = frozenset(settings.sinks)
        mutes = () if self._mutes is None else self._mutes.current()
        if self._deliveries.quiet(now) and mutes == self._followed:
            return
        self._deliveries.release(settings.sinks, mutes, now)
        self._followed = mutes
        self._deliveries.route(settings.sinks.values(), now, mutes)
        for due in self._deliveries.due(now, self._running.keys() | self._lost):
            sink = settings.sinks[due.sink]
            until = now + sink.timeout_seconds + _GRACE_SECONDS
            self._running[due.sink] = _Running(due, sink, until)
            Thread(
                target=self._run,
                args=(due, sink, settings, now),
                name=f"alert-{due.sink}",
                daemon=True,  # a receiver that hangs does not hold up the end of the process
            ).start()

    def close(self) -> None:
        """End; attempts under way are repeated after the next start, under the same id."""
        self._deliveries.close()

    def _run(self, due: Due, sink: Sink, settings: AlertSettings, now: float) -> None:
        try:
            reply = self._post(due.alert, sink, settings, now)
        except Exception as error:  # whatever it was, the sink is tried again
            LOG.exception("telling %s of %s", due.sink, due.alert.name)
            reply = Reply(0, f"{type(error).__name__}: {error}")
        self._replies.put((due.sink, due.number, reply))

    def _collect(self, now: float) -> None:
        while True:
            try:
                name, number, reply = self._replies.get_nowait()
            except Empty:
                break
            self._lost.discard(name)  # its thread has ended
            running = self._running.get(name)
            if running is not None and running.due.number == number:
                self._finish(running, reply, now)
        for name, running in list(self._running.items()):
            if now >= running.until:
                self._lost.add(name)  # no other attempt as long as this one hangs
                self._finish(running, Reply(0, "no answer in time"), now)

    def _finish(self, running: _Running, reply: Reply, now: float) -> None:
        due = running.due
        del self._running[due.sink]
        attempts = due.attempts + 1
        verdict = next_attempt(reply, running.sink, attempts, due.since, now, self._jitter())
        LOG.debug("%s to %s: %s, %s", due.alert.name, due.sink, verdict.status, verdict.detail)
        self._deliveries.finish(due, verdict, now)
