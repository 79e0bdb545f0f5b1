"""A consumer that keeps a database file, and goes on with a new one if that is damaged."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from penstock.monitoring.samples.consumer import Consumer

from .databases import is_damage, set_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from penstock.monitoring.samples.samples import BatchSample

LOG = logging.getLogger("penstock.monitor")

#: Between two attempts to open what cannot be opened now.
RETRY_SECONDS: Final = 10.0
#: The same problem is told once in so many seconds.
COMPLAIN_SECONDS: Final = 300.0

C = TypeVar("C", bound=Consumer)
T = TypeVar("T")


class Mended(Generic[C]):
    """Implements `penstock.monitoring.samples.consumer.Consumer`.

    A file that is damaged is set aside, and the consumer is made anew. One that cannot be opened
    for another reason, a full or read-only disk, a lock, is tried again later: until then there is
    no consumer, samples pass it by, and the monitor goes on with everything else.

    Args:
        make: Makes the consumer, which opens the file.
        path: Path of the file.
        clock: Unix seconds.
    """

    def __init__(self, make: Callable[[], C], path: Path, clock: Callable[[], float]) -> None:
        self._make = make
        self._path = path
        self._clock = clock
        self._consumer: C | None = None
        self._retry_at = 0.0
        self._told_at = float("-inf")
        self._open()

    def take(self, samples: Sequence[BatchSample]) -> None:
        """See `Consumer.take`."""
        with self._watched():
            if self._consumer is not None:
                self._consumer.take(samples)

    def tick(self, now: float) -> None:
        """See `Consumer.tick`."""
        if self._consumer is None and now >= self._retry_at:
            self._open()
        with self._watched():
            if self._consumer is not None:
                self._consumer.tick(now)

    def close(self) -> None:
        """See `Consumer.close`."""
        if self._consumer is not None:
            self._consumer.close()

    def use(self, call: Callable[[C], T]) -> T:
        """Ask the consumer something.

        Raises:
            sqlite3.Error: There is none now, or it cannot; try again later.
        """
        with self._watched():
            if self._consumer is None:
                raise sqlite3.OperationalError(f"{self._path.name} cannot be opened now")
            return call(self._consumer)

    def _open(self) -> None:
        for left in (1, 0):
            try:
                self._consumer = self._make()
            except Exception as error:  # noqa: BLE001  the monitor must not end for it
                if left and is_damage(error) and self._set_aside(error):
                    continue
                self._complain(error)
            return

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if is_damage(error):
                broken, self._consumer = self._consumer, None
                if broken is not None:
                    with suppress(Exception):  # it may not even close any more
                        broken.close()
                if self._set_aside(error):
                    self._open()
            raise

    def _set_aside(self, error: BaseException) -> bool:
        try:
            set_aside(self._path, error, clock=self._clock)
        except OSError as problem:
            self._complain(problem)
            return False
        return True

    def _complain(self, error: BaseException) -> None:
        now = self._clock()
        self._retry_at = now + RETRY_SECONDS
        if now - self._told_at >= COMPLAIN_SECONDS:
            self._told_at = now
            LOG.error("%s cannot be opened, and is tried again: %s", self._path, error)
