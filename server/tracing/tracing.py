"""Traces the predictions of one process, after their answers are written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from penstock.monitoring.metrics import layout
from penstock.server.oip.status_codes import grpc_code_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.batching.request import Batch
    from penstock.monitoring.metrics.exemplars import ExemplarFile
    from penstock.server.inference.call import Call
    from penstock.server.inference.head import RequestHead
    from penstock.server.serving.servable import Servable

    from .parent import Parent
    from .selection import Selection
    from .spans import Spans

_OK: Final = 200
_FIRST_SERVER_ERROR: Final = 500
_NANOSECONDS: Final = 1e9
#: Members of a caller's baggage that become attributes, and their largest size in bytes.
_MAX_BAGGAGE: Final = 8
_MAX_BAGGAGE_BYTES: Final = 256


class Tracing:
    """Implements `penstock.server.inference.run_observers.Tracer`.

    Args:
        selection: Chooses the predictions.
        spans: Makes their spans.
        exemplars: Keeps a trace for each bucket of the latency histogram.
        clock: Monotonic seconds, the scheduler's.
        wall_clock: Unix nanoseconds.
    """

    def __init__(
        self,
        selection: Selection,
        spans: Spans,
        exemplars: ExemplarFile | None,
        clock: Callable[[], float],
        wall_clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._selection = selection
        self._spans = spans
        self._exemplars = exemplars
        self._clock = clock
        self._wall_clock = wall_clock

    def answered(
        self,
        servable: Servable,
        calls: Sequence[Call],
        ids: Sequence[bytes],
        batch: Batch,
        now: float,
    ) -> None:
        """Trace some calls that one run has answered.

        Args:
            servable: The version that ran.
            calls: The calls.
            ids: The request id of each.
            batch: The run.
            now: Monotonic seconds.
        """
        given = [call.head.traceparent for call in calls]
        for place, parent in self._selection.choose(given, now):
            call = calls[place]
            parts = (
                ("queue", call.arrival, batch.started_at),
                ("compute", batch.started_at, batch.finished_at),
                ("encode", batch.finished_at, now),
            )
            more = {"penstock.batch.rows": batch.rows}
            self._add(servable, call, ids[place], parent, now, _OK, parts, more)

    def failed(
        self, servable: Servable | None, call: Call, request_id: bytes, status: int, code: str
    ) -> None:
        """Trace a call that ended with an error, if it is chosen.

        Args:
            servable: The version that was to serve it; ``None`` if none was found.
            call: The call.
            request_id: Its id.
            status: HTTP status.
            code: Of the error.
        """
        now = self._clock()
        for _, parent in self._selection.choose([call.head.traceparent], now):
            more = {"error.type": code}
            self._add(servable, call, request_id, parent, now, status, (), more)

    def _add(
        self,
        servable: Servable | None,
        call: Call,
        request_id: bytes,
        parent: Parent | None,
        now: float,
        status: int,
        parts: Sequence[tuple[str, float, float]],
        more: dict[str, Any],
    ) -> None:
        offset = self._wall_clock() - int(self._clock() * _NANOSECONDS)

        def wall(seconds: float) -> int:
            return offset + int(seconds * _NANOSECONDS)

        head = call.head
        model = head.model if servable is None else servable.name
        attributes = {
            **_protocol_of(head, status),
            "penstock.model": model,
            "penstock.version": "" if servable is None else servable.version,
            "penstock.request_id": request_id.decode("latin-1"),
            **({"penstock.arm": call.arm} if call.arm else {}),
            **baggage_of(head.value(b"baggage")),
            **more,
        }
        shown = [(name, wall(first), wall(max(first, last))) for name, first, last in parts]
        times = wall(call.arrival), wall(now)
        trace_id = self._spans.add(
            f"predict {model}",
            parent,
            times,
            shown,
            attributes,
            failed=status >= _FIRST_SERVER_ERROR,
        )
        if self._exemplars is not None and servable is not None:
            self._exemplars.keep(
                servable.name,
                servable.version,
                layout.LATENCY.bucket(now - call.arrival),
                (trace_id, now - call.arrival, times[1] / _NANOSECONDS),
            )

    def flush(self) -> None:
        """Write the exemplars, if there are new ones; called about once a second.

        Raises:
            OSError: They cannot be written.
        """
        if self._exemplars is not None:
            self._exemplars.write()

    def close(self) -> None:
        """Send what waits, for at most `penstock.server.tracing.spans.LAST_SECONDS`; blocks."""
        self._spans.close()


def _protocol_of(head: RequestHead, status: int) -> dict[str, Any]:
    """The attributes that tell of the protocol of a request.

    Sources: https://opentelemetry.io/docs/specs/semconv/http/http-spans/,
    https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
    """
    if head.codec.name != "grpc":
        return {"http.request.method": head.method, "http.response.status_code": status}
    service, _, method = head.target[1:].partition("/")
    return {
        "rpc.system": "grpc",
        "rpc.service": service,
        "rpc.method": method,
        "rpc.grpc.status_code": grpc_code_of(status),
    }


def baggage_of(header: bytes) -> dict[str, str]:
    """The members of a caller's baggage as attributes of a span.

    Source: https://www.w3.org/TR/baggage/

    Args:
        header: Value of the header ``baggage``; members that cannot be read are passed over.
    """
    found: dict[str, str] = {}
    for member in header.decode("latin-1").split(",")[:_MAX_BAGGAGE]:
        key, equals, value = member.partition(";")[0].partition("=")
        if equals and key.strip() and len(member) <= _MAX_BAGGAGE_BYTES:
            found[f"baggage.{key.strip()}"] = unquote_plus(value.strip())
    return found
