"""Puts what ``model.toml`` declares of inputs into force: names become elements of inputs."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from penstock.monitoring.quality.field_check import FieldCheck
from penstock.monitoring.quality.rules import IMPUTE
from penstock.runtimes.contract import ModelLoadError

from .input_places import known_names, place_of
from .input_validation import Quality
from .segment_rules import declare_segments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.monitoring.metrics.metrics import CounterFile
    from penstock.monitoring.quality.rules import FieldRule, QualityOptions
    from penstock.monitoring.samples.privacy import Privacy
    from penstock.server.codecs.signature import WireSignature
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
        header = config.monitoring.client_header
        return [
            lambda: servable.keep_private(self._privacy(log)),
            partial(servable.name_clients_by, header),
            partial(declare, servable, config.quality, features, self._counters),
            partial(declare_segments, servable, config.segments, features, log.subject),
        ]


def declare(
    servable: Servable, options: QualityOptions, features: Sequence[str], counters: CounterFile
) -> None:
    """Put the declared rules into force for a version.

    Args:
        servable: The version.
        options: Options of the model.
        features: Names of all input scalars in order, if the operator gave any.
        counters: Counters of this process.

    Raises:
        ModelLoadError: A declared field is none of the version's, or of another type.
    """
    quality = make_quality(options, features, servable.wire, counters)
    before_queue = quality is not None and quality.before_queue
    servable.validation = quality if before_queue else None
    servable.tally = None if before_queue else quality
    servable.wire.event_time = options.event_time


def make_quality(
    options: QualityOptions,
    features: Sequence[str],
    wire: WireSignature,
    counters: CounterFile,
    clock: Callable[[], float] = time.time,
) -> Quality | None:
    """The input validation of a version by its signature; ``None`` without declared rules.

    Args:
        options: Options of the model.
        features: Names of all input scalars in order, if the operator gave any.
        wire: The signature.
        counters: Counters of this process.
        clock: Unix seconds.

    Raises:
        ModelLoadError: A declared field is none of the version's, or of another type.
    """
    if options.empty:
        return None
    checks = []
    for rule in options.fields:
        place = place_of(rule.field, wire, features)
        if place is None:
            known = known_names(wire, features)
            raise ModelLoadError(
                f"quality.fields.{rule.field} is no field of this version; known are {known}"
            )
        _check_type(rule, wire.input_names[place[0]], wire)
        field = counters.field(wire.model_name, wire.model_version, rule.field)
        by_rows = wire.inputs[wire.input_names[place[0]]].by_rows
        checks.append(FieldCheck(rule, *place, field, by_rows=by_rows))
    event = None
    if options.event_time:
        event = counters.field(wire.model_name, wire.model_version, options.event_time)
    return Quality(checks, options, event, wire.input_names, clock)


def _check_type(rule: FieldRule, name: str, wire: WireSignature) -> None:
    texts = wire.inputs[name].is_bytes
    numeric = rule.integer or rule.minimum is not None or rule.maximum is not None
    wrong = (
        numeric or rule.max_age_seconds if texts else any(isinstance(v, str) for v in rule.values)
    )
    if wrong:
        kind = "texts" if texts else "numbers"
        raise ModelLoadError(f"quality.fields.{rule.field}: input '{name}' holds {kind}")
    imputed = IMPUTE in {rule.policy, rule.nulls}
    if imputed and isinstance(rule.constant, str) != texts:
        raise ModelLoadError(
            f"quality.fields.{rule.field}: constant is of another type than '{name}'"
        )
