"""Makes the tracing of a process from its configuration."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING

from penstock.monitoring.distribution import install_command, server_version
from penstock.monitoring.metrics.exemplars import ENDING, ExemplarFile
from penstock.server.config.environment import OTLP_ENDPOINT
from penstock.server.files.config_error import ConfigError

from .selection import Selection
from .spans import Spans, open_provider, otlp_exporter
from .tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from penstock.server.config.tracing_options import TracingOptions

LOG = logging.getLogger("penstock.tracing")


def check_tracing(options: TracingOptions, environ: Mapping[str, str]) -> None:
    """Whether traces can be sent, if they are to be.

    OpenTelemetry's own variable is often set for all programs of a machine. Without the extra it is
    passed over with a warning.

    Args:
        options: The options.
        environ: The environment.

    Raises:
        ConfigError: The option is set, and the extra ``otel`` is not installed.
    """
    if not options.otlp_endpoint or can_export():
        return
    mend = f"needs the extra otel: {install_command('otel')}"
    if options.otlp_endpoint != environ.get(OTLP_ENDPOINT):
        raise ConfigError(f"otlp_endpoint {mend}")
    LOG.warning("%s is set, but there are no traces: that %s", OTLP_ENDPOINT, mend)


def can_export() -> bool:
    """Whether the SDK and its exporter are installed."""
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


def open_tracing(
    options: TracingOptions,
    counters: Path | None,
    process: str,
    clock: Callable[[], float],
) -> Tracing | None:
    """The tracing of a process; ``None`` if no collector is configured.

    Args:
        options: The options.
        counters: Directory of the counter files, where the exemplars go; ``None`` keeps none.
        process: Name of the process.
        clock: Monotonic seconds, the scheduler's.

    """
    if not options.otlp_endpoint or not can_export():
        return None
    exporter = otlp_exporter(options.otlp_endpoint)
    provider = open_provider(options.service_name, exporter, server_version())
    exemplars = None if counters is None else ExemplarFile(counters / f"{process}{ENDING}")
    return Tracing(Selection(options.trace_rate), Spans(provider), exemplars, clock)
