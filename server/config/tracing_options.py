"""Options of tracing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

from .option import option


@dataclass(frozen=True)
class TracingOptions:
    """The part of `penstock.server.config.config.ServerConfig` about OpenTelemetry."""

    otlp_endpoint: str = option(
        "",
        "Collector of traces (OTLP over HTTP), such as http://localhost:4318; without it "
        "there are none.",
    )
    trace_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = option(
        0.01,
        "Share of predictions traced if the caller's traceparent does not say.",
    )
    service_name: str = option("penstock", "service.name of the traces.")
