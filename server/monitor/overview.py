"""The drift and the labels of all versions in one message, for who asks the monitor.

The message is made in the working thread where something has changed. The event loop answers with
it at once, whatever the working thread does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.server.processes.frames import pack_frame, read_frame

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Sequence

    from penstock.monitoring.drift_summary.summaries import DriftSummaries
    from penstock.monitoring.feedback.label_summaries import LabelSummaries
    from penstock.monitoring.samples.samples import BatchSample

#: Kind of the question and of the answer.
OVERVIEW: Final = "overview"


class Overview:
    """Implements `penstock.monitoring.samples.consumer.Consumer`; it takes no samples.

    Args:
        drift: Drift summaries; ``None`` if drift is not watched.
        labels: Label summaries.
    """

    def __init__(self, drift: DriftSummaries | None, labels: LabelSummaries) -> None:
        self._drift = drift
        self._labels = labels
        self._changes = (-1, -1)
        self._packed = b""
        self._renew()

    def take(self, samples: Sequence[BatchSample]) -> None:
        """See `Consumer.take`."""

    def tick(self, now: float) -> None:
        """See `Consumer.tick`."""
        del now
        self._renew()

    def close(self) -> None:
        """See `Consumer.close`."""

    async def serve(
        self, first: dict[str, Any], reader: StreamReader, writer: StreamWriter
    ) -> None:
        """Answer each frame of a connection, from the first on, until the other side hangs up."""
        frame: dict[str, Any] | None = first
        while frame is not None:
            writer.write(self._packed)
            await writer.drain()
            frame = await read_frame(reader)

    def _renew(self) -> None:
        """Make the message anew if something has changed."""
        changes = (0 if self._drift is None else self._drift.changes, self._labels.changes)
        if changes == self._changes:
            return
        self._changes = changes
        drift = {} if self._drift is None else self._drift.by_version()
        self._packed = pack_frame(
            OVERVIEW,
            drift_watched=self._drift is not None,
            drift=[[*key, one.to_json()] for key, one in drift.items()],
            labels=[[*key, one.to_json()] for key, one in self._labels.by_version().items()],
        )
