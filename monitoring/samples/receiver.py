"""The working thread of the monitor: frames in, samples to everybody, commit."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

import msgpack

from .sample_reader import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .consumer import Consumer
    from .featurizers import Featurizers
    from .received_frames import Account, Labels, ReceivedFrames
    from .samples import BatchSample

LOG = logging.getLogger("penstock.monitor")

#: The same consumer's errors are logged once in so many seconds.
COMPLAIN_SECONDS: Final = 60.0


class Journal(Protocol):
    """Who keeps rows and ledger on a disk, in one transaction; the prediction log."""

    def restore(self) -> Mapping[str, Account]:
        """The accounts of received frames that earlier incarnations of the monitor have written."""
        ...

    def append(self, samples: Sequence[BatchSample], rows: Mapping[Labels, int]) -> bool:
        """Take samples, to be written with the next `commit`. Counts each of `rows` once.

        Returns whether to commit before more is appended.

        Args:
            samples: Samples of one frame; empty if it could not be read.
            rows: How many rows the sender says are in it.
        """
        ...

    def commit(self, received_frames: ReceivedFrames, now: float) -> None:
        """Write; whatever goes wrong is counted, and the frames count as taken."""
        ...

    def close(self) -> None:
        """Nothing is called after this."""
        ...


class Receiver:
    """Hands samples to the journal and to the consumers, each frame once.

    Args:
        consumers: In the order in which they are called.
        journal: Written first.
        received_frames: What has arrived.
        clock: Unix seconds, for complaints.
        featurizers: Add to samples before anybody sees them.
    """

    def __init__(
        self,
        consumers: Sequence[Consumer],
        journal: Journal,
        received_frames: ReceivedFrames,
        clock: Callable[[], float],
        featurizers: Featurizers,
    ) -> None:
        self._featurizers = featurizers
        self._consumers = consumers
        self._journal = journal
        self._received_frames = received_frames
        self._clock = clock
        self._complained: dict[str, float] = {}
        received_frames.restore(journal.restore())

    def take(self, incarnation: str, number: int, content: bytes) -> None:
        """Take a frame, unless it was taken before.

        Args:
            incarnation: Incarnation of the worker that made it.
            number: In its life.
            content: Rows by model and version, then what `sample_frames` made, as msgpack.
        """
        if number <= self._received_frames.last(incarnation):
            return
        rows: dict[Labels, int] = {}
        samples: Sequence[BatchSample] = []
        try:
            unpacker = msgpack.Unpacker(max_buffer_size=len(content))
            unpacker.feed(content)
            rows = {(model, version): count for model, version, count in unpacker.unpack()}
            samples = self._featurizers.extend(decode(content[unpacker.tell() :]))
        except Exception:  # else it would be read again, and again
            LOG.exception("a frame of samples cannot be used")
        full = self._journal.append(samples, rows)
        self._received_frames.receive(incarnation, number, rows)
        if full:
            self.commit(self._clock())
        if samples:
            self._each(lambda consumer: consumer.take(samples))

    def commit(self, now: float) -> None:
        """Commit the frames that were taken; their senders may remove them then."""
        self._journal.commit(self._received_frames, now)

    def tick(self, now: float) -> None:
        """A second has passed."""
        self._each(lambda consumer: consumer.tick(now))

    def close(self) -> None:
        """Commit and close everybody."""
        self.commit(self._clock())
        self._each(lambda consumer: consumer.close())
        self._journal.close()

    def _each(self, call: Callable[[Consumer], None]) -> None:
        for consumer in self._consumers:
            try:
                call(consumer)
            except Exception:  # one consumer's trouble is not the others'
                name = type(consumer).__name__
                now = self._clock()
                if now - self._complained.get(name, 0.0) >= COMPLAIN_SECONDS:
                    self._complained[name] = now
                    LOG.exception("%s failed; the monitor goes on", name)
