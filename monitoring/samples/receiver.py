"""The working thread of the monitor: it takes frames, passes samples on, and commits."""

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
    from .segmenter import Segmenter

LOG = logging.getLogger("penstock.monitor")

#: Errors of one consumer are logged once in so many seconds.
COMPLAIN_SECONDS: Final = 60.0


class Journal(Protocol):
    """Writes rows and accounts to a disk in one transaction; implemented by the prediction log."""

    def restore(self) -> Mapping[str, Account]:
        """The accounts of received frames that earlier incarnations of the monitor have written."""
        ...

    def append(self, samples: Sequence[BatchSample], rows: Mapping[Labels, int]) -> bool:
        """Take samples, to be written with the next `commit`. Counts each of `rows` once.

        Returns whether to commit before more is appended.

        Args:
            samples: Samples of one frame; empty if it could not be read.
            rows: Rows of the frame, as the sender counted them.
        """
        ...

    def commit(self, received_frames: ReceivedFrames, now: float) -> None:
        """Write; rows that cannot be written are counted, and the frames count as taken."""
        ...

    def close(self) -> None:
        """End; no method is called after this."""
        ...


class Receiver:
    """Gives samples to the journal and to the consumers, each frame once.

    Args:
        consumers: In the order in which they are called.
        journal: Gets each sample first.
        received_frames: The accounts of received frames.
        clock: Unix seconds, for log messages.
        featurizers: Add features to samples before all consumers.
        segmenter: Adds segments to samples before all consumers.
    """

    def __init__(
        self,
        consumers: Sequence[Consumer],
        journal: Journal,
        received_frames: ReceivedFrames,
        clock: Callable[[], float],
        featurizers: Featurizers,
        segmenter: Segmenter,
    ) -> None:
        self._featurizers = featurizers
        self._segmenter = segmenter
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
            number: Number of the frame in its incarnation.
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
            samples = self._segmenter.extend(samples)
        except Exception:  # otherwise the frame would be read again and again
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
        """Let the consumers do their periodic work."""
        self._each(lambda consumer: consumer.tick(now))

    def close(self) -> None:
        """Commit, and close the consumers and the journal."""
        self.commit(self._clock())
        self._each(lambda consumer: consumer.close())
        self._journal.close()

    def _each(self, call: Callable[[Consumer], None]) -> None:
        for consumer in self._consumers:
            try:
                call(consumer)
            except Exception:  # an error of one consumer does not affect the others
                name = type(consumer).__name__
                now = self._clock()
                if now - self._complained.get(name, 0.0) >= COMPLAIN_SECONDS:
                    self._complained[name] = now
                    LOG.exception("%s failed; the monitor goes on", name)
