"""The spans of predictions, made with OpenTelemetry's SDK and sent by OTLP.

Source: https://opentelemetry.io/docs/specs/otlp/
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

    from .parent import Parent

#: Seconds that sending a batch of spans may take.
SEND_SECONDS: Final = 5.0
#: Seconds that a stop waits for the last spans.
LAST_SECONDS: Final = 1.0


def open_provider(service: str, exporter: SpanExporter, version: str) -> TracerProvider:
    """What makes spans, and sends them from a thread of its own.

    Args:
        service: ``service.name`` of the spans.
        exporter: Sends them.
        version: Release of the server.
    """
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": service, "service.version": version})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def otlp_exporter(endpoint: str) -> SpanExporter:
    """Sends spans to a collector by OTLP over HTTP.

    Args:
        endpoint: Such as ``http://localhost:4318``. ``OTEL_EXPORTER_OTLP_HEADERS`` and the other
            variables of the exporter count as well.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint.rstrip("/") + "/v1/traces", timeout=SEND_SECONDS)


class Spans:
    """Makes the spans of one prediction: the request, and the parts of its time.

    Args:
        provider: As `open_provider` gives it.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("penstock")

    def add(
        self,
        name: str,
        parent: Parent | None,
        times: tuple[int, int],
        parts: Sequence[tuple[str, int, int]],
        attributes: Mapping[str, Any],
        *,
        failed: bool,
    ) -> str:
        """Make the spans of one prediction.

        Args:
            name: Of the span of the request.
            parent: The caller's span.
            times: Its begin and its end, in Unix nanoseconds.
            parts: Name, begin and end of each part.
            attributes: Of the span of the request.
            failed: Whether the server has failed.

        Returns:
            The id of the trace, 32 hexadecimal digits.
        """
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        begin, end = times
        span = self._tracer.start_span(
            name,
            context=_context_of(parent),
            kind=SpanKind.SERVER,
            start_time=begin,
            attributes=attributes,
        )
        inside = set_span_in_context(span)
        for part, first, last in parts:
            self._tracer.start_span(part, context=inside, start_time=first).end(last)
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)
        return format(span.get_span_context().trace_id, "032x")

    def close(self) -> None:
        """Send what waits, for at most `LAST_SECONDS`; the SDK would wait for a collector."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(LAST_SECONDS)


def _context_of(parent: Parent | None) -> Any:
    """The context that a span of this parent begins in."""
    from opentelemetry.context import Context
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        set_span_in_context,
    )

    if parent is None:
        return Context()
    remote = SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return set_span_in_context(NonRecordingSpan(remote), Context())
