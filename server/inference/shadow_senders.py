"""The shadow senders of one worker, and their thread.

Without a mirror there is no thread, and the path of a prediction asks one empty dictionary.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from .shadow_sender import ShadowSender

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from penstock.monitoring.metrics.metrics import CounterFile
    from penstock.server.target.plan import ModelPlan

#: Seconds between two turns of the thread, while there are batches to send and otherwise.
BUSY_SECONDS: Final = 0.005
CALM_SECONDS: Final = 0.05
_JOIN_SECONDS: Final = 1.0


class ShadowSenders:
    """The shadow senders of one worker. All methods but the thread's run on the loop.

    Args:
        path: Socket of the shadow process.
        counters: Counters of this process.
        loop: The event loop of the predictions.

    Attributes:
        routes: The sender of each model and version whose answers are copied.
    """

    def __init__(self, path: Path, counters: CounterFile, loop: asyncio.AbstractEventLoop) -> None:
        self.routes: dict[tuple[str, str], ShadowSender] = {}
        self._path = path
        self._counters = counters
        self._loop = loop
        self._senders: dict[str, ShadowSender] = {}
        self._retired: deque[ShadowSender] = deque()
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    def follow(self, models: Mapping[str, ModelPlan]) -> None:
        """Make the senders that these plans ask for, and end all others."""
        senders: dict[str, ShadowSender] = {}
        self.routes.clear()
        for plan in models.values():
            mirror = plan.mirror
            if mirror is None or plan.default is None or not mirror.percent:
                continue
            sender = self._senders.get(mirror.rollout) or ShadowSender(
                mirror.rollout,
                0.0,
                self._counters.model(plan.name, str(mirror.candidate)),
                self._path,
                self._report,
            )
            sender.share = mirror.percent / 100
            senders[mirror.rollout] = self.routes[plan.name, str(plan.default)] = sender
        self._retired.extend(one for key, one in self._senders.items() if key not in senders)
        self._senders = senders
        if senders and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="penstock-mirror", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop; waiting batches are dropped and counted."""
        self.follow({})
        self._over.set()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        busy = False
        while not self._over.wait(BUSY_SECONDS if busy else CALM_SECONDS):
            self._clear_retired()
            senders = self._senders  # replaced as a whole by the loop
            for sender in senders.values():
                self._attempt(sender, sender.turn)
            busy = any(sender.waiting for sender in senders.values())
        self._clear_retired()

    def _clear_retired(self) -> None:
        while self._retired:
            sender = self._retired.popleft()
            self._attempt(sender, sender.hang_up)

    def _attempt(self, sender: ShadowSender, step: Callable[[], None]) -> None:
        """Take a step of one sender; an error in it ends neither the thread nor other senders."""
        try:
            step()
        except BaseException as error:  # noqa: BLE001  it is told, and the feed begins anew
            message = {"message": "copying answers for the shadow failed", "exception": error}
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._loop.call_exception_handler, message)
            with suppress(BaseException):
                sender.break_off()

    def _report(self, sender: ShadowSender, requests: int, rows: int) -> None:
        try:
            self._loop.call_soon_threadsafe(sender.dropped, requests, rows)
        except RuntimeError:  # the loop is closed: nobody else counts any more
            sender.dropped(requests, rows)
