"""Alerts, put together for the monitor process."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from penstock.monitoring.alerts.alerts_file import AlertsFile, read_settings
from penstock.monitoring.alerts.courier import Courier
from penstock.monitoring.alerts.self_watch import SelfWatch
from penstock.monitoring.merge import merge
from penstock.server.options import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.monitoring.consumer import Consumer
    from penstock.monitoring.quality.learnt import LearntFaults
    from penstock.server.config import ServerConfig

#: In ``state_dir/monitor``.
OUTBOX: Final = "alerts.db"


def alerts_file(config: ServerConfig) -> AlertsFile:
    """The alerts file, once it is known to be right.

    Raises:
        ConfigError: It is not.
    """
    if config.alerts_file is not None:
        try:
            read_settings(config.alerts_file)
        except ValueError as error:
            raise ConfigError(str(error)) from None
    return AlertsFile(config.alerts_file)


def alert_consumers(
    config: ServerConfig, counters: Path, state: Path, learnt: LearntFaults | None = None
) -> list[Consumer]:
    """What looks at counters, and what tells; the latter last, so that news goes out at once.

    Args:
        config: Of the server.
        counters: Directory of the counter files.
        state: ``state_dir/monitor``.
        learnt: What baselines taught of inputs, and how often they are otherwise.
    """
    settings = AlertsFile(config.alerts_file)
    outbox = state / OUTBOX
    watch = SelfWatch(partial(merge, counters), outbox, settings, config.slo_objective, learnt)
    return [watch, Courier(outbox, settings)]
