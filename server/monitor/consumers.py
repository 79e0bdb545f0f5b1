"""Who looks at samples in the monitor process: one line for each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from penstock.monitoring.mended import Mended
from penstock.monitoring.prediction_log.no_log import NoLog
from penstock.monitoring.prediction_log.prediction_log import PredictionLog
from penstock.monitoring.prediction_log.sealer import Sealer
from penstock.monitoring.prediction_log.tally import Tally, counted_rows
from penstock.monitoring.samples.arm_scores import FILE, ArmScores
from penstock.monitoring.samples.books import BooksFile

from .alert_setup import alert_consumers
from .version_digest import VersionDigests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from penstock.monitoring.drift.learnt import LearntFaults
    from penstock.monitoring.metrics.metrics import CounterFile
    from penstock.monitoring.samples.consumer import Consumer
    from penstock.monitoring.samples.receiver import Journal
    from penstock.server.config.config import ServerConfig
    from penstock.server.processes.run_directory import RunDirectory


#: Of the prediction log: room for some transactions.
LEAST_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class MonitorContext:
    """What a consumer may need.

    Attributes:
        config: Configuration of the server.
        directory: Run directory: counters, the last target.
        state: ``state_dir/monitor``; it exists.
        counters: Counters of the monitor process, for its metrics; one thread writes them, the
            working one.
        epoch: Names this run of the server: the same for every life of the monitor in it.
        clock: Unix seconds.
    """

    config: ServerConfig
    directory: RunDirectory
    state: Path
    counters: CounterFile
    epoch: str
    clock: Callable[[], float]


def consumers(
    context: MonitorContext, drift: Iterable[Consumer], learnt: LearntFaults
) -> list[Consumer]:
    """All consumers but those of labels, in the order in which they are called.

    Args:
        context: Context of the monitor process.
        drift: The consumers of drift.
        learnt: Faults that baselines taught, with counts of inputs that have them.
    """
    config = context.config
    return [
        *([Sealer(context.state, log_bytes(config))] if config.log_max_bytes else []),
        *drift,
        Mended(partial(ArmScores, context.state), context.state / FILE, context.clock),
        *alert_consumers(context.config, context.directory.counters, context.state, learnt),
    ]


def journal(context: MonitorContext) -> Journal:
    """Where samples are kept."""
    config, counters = context.config, context.directory.counters
    books = BooksFile(context.directory.books)
    tally = Tally(context.counters, counted_rows(counters), books)
    if not config.log_max_bytes:
        return NoLog(tally)
    return PredictionLog(
        context.state,
        context.epoch,
        tally,
        log_bytes(config),
        config.log_max_days,
        context.clock,
        VersionDigests(context.directory.target),
    )


def log_bytes(config: ServerConfig) -> int:
    """How large the prediction log may be."""
    return max(config.log_max_bytes, LEAST_BYTES)
