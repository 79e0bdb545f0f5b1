"""Who looks at samples in the monitor process: one line for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.monitoring.log.no_log import NoLog
from penstock.server.drift.wiring import drift_consumer

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.monitoring.consumer import Consumer
    from penstock.monitoring.metrics import CounterFile
    from penstock.monitoring.receiver import Journal
    from penstock.server.config import ServerConfig

    from .run_directory import RunDirectory


@dataclass(frozen=True, slots=True)
class MonitorContext:
    """What a consumer may need.

    Attributes:
        config: Of the server.
        directory: Where the processes meet: counters, the last target.
        state: ``state_dir/monitor``; it exists.
        counters: Of the monitor process, for its metrics; one thread writes them, the working one.
        epoch: Names this run of the server: the same for every life of the monitor in it.
    """

    config: ServerConfig
    directory: RunDirectory
    state: Path
    counters: CounterFile
    epoch: str


def consumers(context: MonitorContext) -> list[Consumer]:
    """All consumers, in the order in which they are called."""
    return [drift_consumer(context.directory.target, context.state)]


def journal(context: MonitorContext) -> Journal:
    """Where samples are kept."""
    del context
    return NoLog()
