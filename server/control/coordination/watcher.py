"""File events of the registry, so that a new version is seen at once.

Events may be lost or not exist at all (network file systems, no descriptors left): they are only
ever a reason to look earlier, and looking again after a while is the caller's.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from penstock.batching.contained import words

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from watchfiles import Change

LOG = logging.getLogger("penstock.watcher")

#: How long events are gathered: no longer than this, and until nothing came for a step.
_GATHER_MILLISECONDS: Final = 1000
_STEP_MILLISECONDS: Final = 200


class Watcher:
    """Watches a directory from a thread of its own.

    Args:
        directory: With everything below it; hidden entries do not count.
        on_change: Called from the thread.
    """

    def __init__(self, directory: Path, on_change: Callable[[], object]) -> None:
        self._directory = directory.resolve()
        self._on_change = on_change
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="penstock-watch", daemon=True)

    def start(self) -> None:
        """Watch from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; does not wait for the thread."""
        self._over.set()

    def _run(self) -> None:
        try:
            from watchfiles import watch  # a native library, for one process only

            changes = watch(
                self._directory,
                watch_filter=self._counts,
                debounce=_GATHER_MILLISECONDS,
                step=_STEP_MILLISECONDS,
                stop_event=self._over,
                raise_interrupt=False,
                ignore_permission_denied=True,
            )
            for _ in changes:
                self._on_change()
        except BaseException as error:  # noqa: BLE001  whatever it is, there are still the looks
            LOG.warning("no file events from %s: %s", self._directory, words(error))

    def _counts(self, _: Change, path: str) -> bool:
        inside = path.removeprefix(f"{self._directory}/")
        return not any(part.startswith(".") for part in inside.split("/"))
