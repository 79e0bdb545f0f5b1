"""``[quality]`` of ``model.toml``: what is declared of a model's inputs.

[quality]
event_time = "event_time"        # request parameter: Unix time at which the inputs were true
max_age = "1h"                   # how old they may be
stale = "reject"                 # or "pass": only count

[quality.fields.age]             # an input, "input[3]", or a name of monitoring.features
min = 0
max = 120
integer = true
policy = "reject"                # or "impute" (with constant), or "pass": only count
nulls = "impute"                 # the same, for NaN and empty texts; like policy by default
constant = 40

[quality.fields."features[7]"]
values = [0, 1, 2]               # nothing else
"""

from __future__ import annotations

from typing import Any, Final

from penstock.monitoring.files.wording import did_you_mean, shown
from penstock.monitoring.quality.rules import (
    IMPUTE,
    MAX_FIELDS,
    PASS,
    POLICIES,
    REJECT,
    FieldRule,
    QualityOptions,
)
from penstock.server.errors import InvalidRequest
from penstock.server.files.option_decoder import ConfigError, finite
from penstock.server.rollout.options import parse_duration

#: Keys of the table, and of the table of a field.
KEYS: Final = ("event_time", "max_age", "stale", "fields")
FIELD_KEYS: Final = (
    "min",
    "max",
    "integer",
    "values",
    "policy",
    "nulls",
    "constant",
    "max_age",
)
_MAX_VALUES: Final = 1000


def parse_quality(table: Any, source: str) -> QualityOptions:
    """Check the decoded table; `source` names the file in errors.

    Raises:
        ConfigError: An unknown key or a bad value.
    """
    values = _table(table, KEYS, source, "quality")
    fields = values.get("fields", {})
    if not isinstance(fields, dict) or len(fields) > MAX_FIELDS:
        raise ConfigError(f"{source}: quality.fields, expected a table of at most {MAX_FIELDS}")
    event_time = values.get("event_time", "")
    if not isinstance(event_time, str):
        raise _bad(source, "quality.event_time", event_time, "the name of a request parameter")
    max_age = _age(values, "quality", source)
    if bool(event_time) != bool(max_age):
        raise ConfigError(f"{source}: quality needs event_time and max_age, or neither")
    stale = _policy(values.get("stale", PASS), (REJECT, PASS), source, "quality.stale")
    rules = tuple(_field(name, one, source) for name, one in fields.items())
    return QualityOptions(rules, event_time, max_age, stale)


def _field(name: str, content: Any, source: str) -> FieldRule:
    where = f"quality.fields.{name}"
    values = _table(content, FIELD_KEYS, source, where)
    integer = values.get("integer", False)
    if not isinstance(integer, bool):
        raise _bad(source, f"{where}.integer", integer, "true or false")
    low = _number(values.get("min"), source, f"{where}.min")
    high = _number(values.get("max"), source, f"{where}.max")
    if low is not None and high is not None and low > high:
        raise ConfigError(f"{source}: {where}: min is above max")
    policy = _policy(values.get("policy", PASS), POLICIES, source, f"{where}.policy")
    nulls = _policy(values.get("nulls", policy), POLICIES, source, f"{where}.nulls")
    if IMPUTE in {policy, nulls} and "constant" not in values:
        raise ConfigError(f"{source}: {where}: impute needs a constant")
    constant = values.get("constant", 0.0)
    if not isinstance(constant, str):
        constant = _number(constant, source, f"{where}.constant") or 0.0
    return FieldRule(
        field=name,
        integer=integer,
        minimum=low,
        maximum=high,
        values=_domain(values.get("values", []), source, f"{where}.values"),
        policy=policy,
        nulls=nulls,
        constant=constant,
        max_age_seconds=_age(values, where, source),
    )


def _table(content: Any, keys: tuple[str, ...], source: str, where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise _bad(source, where, content, "a table")
    for name in content:
        if name not in keys:
            raise ConfigError(
                f"{source}: unknown key {where}.{name}{did_you_mean(name, list(keys))}"
            )
    return content


def _domain(content: Any, source: str, where: str) -> tuple[float | str, ...]:
    if not isinstance(content, list) or len(content) > _MAX_VALUES:
        raise _bad(source, where, content, f"a list of at most {_MAX_VALUES} values")
    if all(isinstance(one, str) for one in content):
        return tuple(content)
    return tuple(_number(one, source, where) or 0.0 for one in content)


def _policy(value: Any, known: tuple[str, ...], source: str, where: str) -> str:
    if value not in known:
        raise _bad(source, where, value, "one of " + ", ".join(known))
    return str(value)


def _age(values: dict[str, Any], where: str, source: str) -> float:
    try:
        return parse_duration(values.get("max_age", 0))
    except InvalidRequest as error:
        raise ConfigError(f"{source}: {where}.max_age: {error.message}") from None


def _number(value: Any, source: str, where: str) -> float | None:
    if value is None:
        return None
    number = finite(value)
    if number is None:
        raise _bad(source, where, value, "a number")
    return number


def _bad(source: str, where: str, value: Any, expected: str) -> ConfigError:
    return ConfigError(f"{source}: {where} is {shown(value)}, expected {expected}")
