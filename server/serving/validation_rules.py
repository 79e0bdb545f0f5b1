"""Makes the input validation of a version from the declared rules: names become input elements."""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING, Final

from penstock.monitoring.quality.field_check import FieldCheck
from penstock.monitoring.quality.rules import IMPUTE
from penstock.runtimes.contract import VARIABLE, ModelLoadError

from .input_validation import Quality

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.monitoring.metrics.metrics import CounterFile
    from penstock.monitoring.quality.rules import FieldRule, QualityOptions
    from penstock.server.codecs.signature import WireInput, WireSignature

    from .servable import Servable

_PLACE: Final = re.compile(r"(.+)\[(\d+)\]")


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
    places = _places(wire, features)
    checks = []
    for rule in options.fields:
        place = places.get(rule.field) or _element(rule.field, wire)
        if place is None:
            known = ", ".join([*wire.inputs, *features])
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


def _places(wire: WireSignature, features: Sequence[str]) -> dict[str, tuple[int, int | None]]:
    """The input and the element of each field."""
    found: dict[str, tuple[int, int | None]] = {}
    names = iter(features)
    for name, spec in wire.inputs.items():
        size = _row_size(spec)
        if features and size is not None:
            found |= {
                feature: (spec.position, column)
                for column, feature in zip(range(size), names, strict=False)
            }
        found[name] = spec.position, None
    return found


def _element(field: str, wire: WireSignature) -> tuple[int, int] | None:
    match = _PLACE.fullmatch(field)
    spec = wire.inputs.get(match[1]) if match else None
    size = None if spec is None else _row_size(spec)
    if match is None or spec is None or size is None or int(match[2]) >= size:
        return None
    return spec.position, int(match[2])


def _row_size(spec: WireInput) -> int | None:
    """Elements of a row; ``None`` if the shape is open."""
    shape = spec.shape[1:] if spec.by_rows else spec.shape
    return None if VARIABLE in shape else math.prod(shape)


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
