"""Serves calls that differ in their numbers only: as one request of many rows, if that pays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import orjson

from penstock.batching.request import InferenceRequest
from penstock.server.errors import ApiError, ClientGone

from .codecs.messages import InferRequest
from .codecs.negotiate import JSON
from .codecs.tensors import UNPACKABLE, packer

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.batching.scheduler import Scheduler
    from penstock.runtimes.contract import Array
    from penstock.server.registry.catalog import Catalog
    from penstock.server.registry.servable import Servable

    from .call import Call
    from .codecs.known_bodies import Frame
    from .head import RequestHead
    from .lanes import Alike


class Together:
    """Implements `penstock.server.http.lanes.Service`.

    Args:
        catalog: What is served.
        scheduler: Runs it.
        start: Serves a call with its body the ordinary way.
        fail: Ends a call with an error.
        new_id: Makes up a request id.
    """

    def __init__(
        self,
        catalog: Catalog,
        scheduler: Scheduler,
        start: Callable[[Call, bytes], None],
        fail: Callable[[Call, Exception], None],
        new_id: Callable[[], bytes],
    ) -> None:
        self._catalog = catalog
        self._scheduler = scheduler
        self._start = start
        self._fail = fail
        self._new_id = new_id

    def frame(self, head: RequestHead, opening: bytes) -> Frame | None:
        """See `Service.frame`."""
        try:
            return self._catalog.find(head.model, head.version).wire.frames.get(opening)
        except ApiError:
            return None

    def serve(self, alike: Alike) -> None:
        """See `Service.serve`."""
        try:
            servable = self._catalog.find(alike.lane.model, alike.lane.version)
        except ApiError:
            self.singly(alike)
            return
        frame = servable.wire.frames.get(alike.lane.opening)
        rows = self._scheduler.short_rows(servable.queue)
        if frame is None or not rows:
            self.singly(alike)
            return
        for part in alike.parts(rows):
            array = read_rows(frame, part.numbers)
            if array is None:
                self.singly(part)
            else:
                self._enqueue(part, servable, frame, array)

    def singly(self, alike: Alike) -> None:
        """Serve each call the ordinary way, so that only the culprit of a failure fails."""
        for call, body in alike.bodies():
            if call.entered and call.servable is not None:
                call.servable.counters.leave()
                call.entered = False
            if call.abandoned:
                self._fail(call, ClientGone())
            else:
                self._start(call, body)

    def dispatch(self) -> None:
        """See `Service.dispatch`."""
        self._scheduler.dispatch()

    def _enqueue(self, alike: Alike, servable: Servable, frame: Frame, rows: Array) -> None:
        calls = alike.calls
        message = InferRequest([], 1, servable.wire.all_outputs, frame.key)
        for call in calls:
            call.servable = servable
            call.message = message
            call.plain = JSON
            call.request_id = self._new_id()
            call.entered = True
        servable.counters.enter(len(calls))
        request = InferenceRequest(
            [rows], len(calls), message.outputs, calls[0].arrival, key=frame.key, context=alike
        )
        try:
            self._scheduler.submit(servable.queue, request)
        except Exception:  # noqa: BLE001  each of them hears on its own why
            self.singly(alike)


def read_rows(frame: Frame, numbers: list[bytes]) -> Array | None:
    """The rows of several requests of one frame as one array, or ``None`` if one of them is odd.

    Args:
        frame: Of all of them; one row each.
        numbers: The text between the brackets of each, with the commas of one row.
    """
    size = frame.size * len(numbers)
    try:
        elements = orjson.loads(b"[%b]" % b",".join(numbers))
        packed = packer(frame.spec.code, size)(*elements)
    except (orjson.JSONDecodeError, *UNPACKABLE):
        return None
    return np.ndarray((len(numbers), *frame.shape[1:]), frame.spec.dtype, packed)
