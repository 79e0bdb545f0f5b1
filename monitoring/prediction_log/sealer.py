"""Has past days sealed, one after the other, by a process of its own."""

from __future__ import annotations

import logging
import subprocess
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from penstock.monitoring.distribution import python_command

from .log_directory import LogDirectory, day_of
from .seal import EXIT_DAMAGED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from penstock.monitoring.samples.samples import BatchSample

LOG = logging.getLogger("penstock.log")

EVERY_SECONDS: Final = 60.0
#: After an attempt that failed.
RETRY_SECONDS: Final = 3600.0


class Sealer:
    """Implements `penstock.monitoring.samples.consumer.Consumer`.

    Args:
        state: ``state_dir/monitor``.
        max_bytes: Of the prediction log.
    """

    def __init__(self, state: Path, max_bytes: int) -> None:
        self._state = state
        self._directory = LogDirectory(state)
        self._max_bytes = max_bytes
        self._able = find_spec("duckdb") is not None
        self._process: subprocess.Popen[bytes] | None = None
        self._day = ""
        self._due = 0.0

    def take(self, samples: Sequence[BatchSample]) -> None:
        """Samples are not its business."""

    def tick(self, now: float) -> None:
        """Begin when a day is over; look whether the last attempt has ended."""
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return
            self._process = None
            if code == EXIT_DAMAGED:
                self._due = now
                LOG.error("%s is damaged and was set aside", self._day)
            elif code:
                self._due = now + RETRY_SECONDS
                LOG.warning("%s could not be sealed, status %d; again in an hour", self._day, code)
            else:
                self._due = now  # there may be another day
                LOG.info("%s was sealed", self._day)
        if not self._able or now < self._due:
            return
        self._due = now + EVERY_SECONDS
        past = [day for day in self._directory.day_files() if day < day_of(now)]
        if past:
            self._day = past[0]
            self._process = subprocess.Popen(  # noqa: S603  our own interpreter and module
                python_command(
                    "-m",
                    "penstock.monitoring.prediction_log.seal",
                    str(self._state),
                    self._day,
                    str(self._max_bytes),
                ),
                stdin=subprocess.DEVNULL,
            )

    def close(self) -> None:
        """An attempt under way is given up; it is begun anew another time."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
