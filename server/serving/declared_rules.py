"""What ``model.toml`` declares of inputs, put into force for loaded versions."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from penstock.runtimes.contract import ModelLoadError

from .segment_rules import declare_segments
from .validation_rules import declare

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.monitoring.metrics.metrics import CounterFile
    from penstock.monitoring.samples.privacy import Privacy
    from penstock.server.config.model_config import ModelConfig
    from penstock.server.config.model_log import LogOptions

    from .servable import Servable

LOG = logging.getLogger("penstock.models")


class DeclaredRules:
    """Puts the rules of a configuration into force.

    Args:
        counters: Counters of this process.
        privacy: Inputs that must not leave this process as they are.
    """

    def __init__(
        self, counters: CounterFile, privacy: Callable[[LogOptions], Privacy | None]
    ) -> None:
        self._counters = counters
        self._privacy = privacy

    def declare(self, servable: Servable, config: ModelConfig) -> None:
        """Put the rules into force for a version that was just loaded.

        Raises:
            ModelLoadError: A rule does not fit the version.
        """
        for put_into_force in self._rules(servable, config):
            put_into_force()

    def declare_again(self, servable: Servable, config: ModelConfig) -> None:
        """Put the rules of a new configuration into force; those that do not fit stay as before."""
        for put_into_force in self._rules(servable, config):
            try:
                put_into_force()
            except ModelLoadError as e:
                LOG.error("model %s version %s: %s", servable.name, servable.version, e)  # noqa: TRY400

    def _rules(self, servable: Servable, config: ModelConfig) -> list[Callable[[], None]]:
        """Each puts some of the declared rules into force, or raises `ModelLoadError`."""
        features, log = config.monitoring.features, config.log
        return [
            lambda: servable.keep_private(self._privacy(log)),
            partial(declare, servable, config.quality, features, self._counters),
            partial(declare_segments, servable, config.segments, features, log.subject),
        ]
