"""Asks the monitor for the drift and the labels of all versions, once for everybody who looks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.drift_summary.summary import DriftSummary
from penstock.monitoring.feedback.label_summary import LabelSummary
from penstock.server.monitor.overview import OVERVIEW
from penstock.server.processes.frames import BadFrame, pack_frame, read_frame

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: An answer is given to everybody who asks within so many seconds.
KEPT_SECONDS: Final = 1.0
#: The monitor answers in milliseconds; one that is stopped must not hold up a page.
ANSWER_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Monitored:
    """The answer of the monitor.

    Attributes:
        drift: Drift summary by model and version, of those that were looked at.
        labels: Label summary by model and version, of those that have labels.
        drift_watched: Whether the monitor can watch drift at all.
        problem: Reason for which there is no answer; empty if there is one.
    """

    drift: Mapping[tuple[str, str], DriftSummary] = field(default_factory=dict)
    labels: Mapping[tuple[str, str], LabelSummary] = field(default_factory=dict)
    drift_watched: bool = True
    problem: str = ""


class MonitorClient:
    """Asks the monitor. One event loop.

    Args:
        path: Path of the monitor's socket.
        timeout_seconds: Seconds to wait for an answer.
        kept_seconds: Seconds for which an answer, or its absence, is kept.
    """

    def __init__(
        self,
        path: Path,
        timeout_seconds: float = ANSWER_SECONDS,
        kept_seconds: float = KEPT_SECONDS,
    ) -> None:
        self._path = path
        self._timeout_seconds = timeout_seconds
        self._kept_seconds = kept_seconds
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")
        self._found = Monitored()

    async def ask(self) -> Monitored:
        """The drift and the labels of all versions; never an error."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if now - self._asked_at >= self._kept_seconds:
                self._found = await self._answer()
                self._asked_at = asyncio.get_running_loop().time()
            return self._found

    async def _answer(self) -> Monitored:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                reader, writer = await asyncio.open_unix_connection(str(self._path))
                try:
                    writer.write(pack_frame(OVERVIEW))
                    frame = await read_frame(reader)
                finally:
                    writer.close()
            if frame is None:
                return Monitored(problem="the monitor hung up")
            return _monitored(frame)
        except TimeoutError:
            return Monitored(problem="the monitor does not answer")
        except OSError:
            return Monitored(problem="the monitor is away")
        except (BadFrame, KeyError, TypeError, ValueError) as error:
            return Monitored(problem=f"the monitor speaks another language: {error!r}")


def _monitored(frame: Mapping[str, Any]) -> Monitored:
    return Monitored(
        {(model, version): DriftSummary.from_json(one) for model, version, one in frame["drift"]},
        {(model, version): LabelSummary.from_json(one) for model, version, one in frame["labels"]},
        frame["drift_watched"],
    )
