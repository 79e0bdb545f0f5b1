"""Alerts, put together for the monitor process."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from penstock.monitoring.alert_rules.self_watch import SelfWatch
from penstock.monitoring.alerts.alerts_file import AlertsFile, read_settings
from penstock.monitoring.alerts.mutes import MUTES_FILE, MutesFile
from penstock.monitoring.alerts.notifier import Notifier
from penstock.monitoring.metrics.merge import merge
from penstock.server.files.config_error import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.monitoring.drift.learnt import LearntFaults
    from penstock.monitoring.samples.consumer import Consumer
    from penstock.server.config.config import ServerConfig

#: In ``state_dir/monitor``.
ALERTS_DATABASE: Final = "alerts.db"


#: In ``state_dir/monitor``: the alerts file as it was understood last.
GOOD_FILE: Final = "alerts-good.toml"


def alerts_file(config: ServerConfig, state: Path, *, strict: bool) -> AlertsFile:
    """The alerts file.

    Args:
        config: Configuration of the server.
        state: ``state_dir/monitor``.
        strict: Whether the file must be right; else the last one that was is in force.

    Raises:
        ConfigError: It must, and is not.
    """
    if strict and config.alerts_file is not None:
        try:
            read_settings(config.alerts_file)
        except ValueError as error:
            raise ConfigError(str(error)) from None
    found = AlertsFile(config.alerts_file, state / GOOD_FILE)
    found.current()  # what is wrong with it is told now
    return found


def alert_consumers(
    config: ServerConfig, counters: Path, state: Path, learnt: LearntFaults | None = None
) -> list[Consumer]:
    """What looks at counters, and what tells; the latter last, so that news goes out at once.

    Args:
        config: Configuration of the server.
        counters: Directory of the counter files.
        state: ``state_dir/monitor``.
        learnt: Faults that baselines taught, with counts of inputs that have them.
    """
    settings = alerts_file(config, state, strict=False)
    alerts_path = state / ALERTS_DATABASE
    watch = SelfWatch(partial(merge, counters), alerts_path, settings, config.slo_objective, learnt)
    return [watch, Notifier(alerts_path, settings, mutes=MutesFile(state / MUTES_FILE))]
