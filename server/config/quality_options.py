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

from typing import Annotated, Any, Final, Literal

import msgspec

from penstock.monitoring.files.decoding import convert
from penstock.monitoring.files.wording import shown
from penstock.monitoring.quality.rules import IMPUTE, MAX_FIELDS, FieldRule, QualityOptions
from penstock.server.files.config_error import ConfigError
from penstock.server.files.duration import Duration

_MAX_VALUES: Final = 1000
_Policy = Literal["reject", "impute", "pass"]
_Values = Annotated[
    tuple[float | str, ...],
    msgspec.Meta(max_length=_MAX_VALUES, description=f"a list of at most {_MAX_VALUES} values"),
]


class _Field(msgspec.Struct, forbid_unknown_fields=True):
    """``[quality.fields.NAME]`` as it is written; see `FieldRule`."""

    minimum: float | None = msgspec.field(name="min", default=None)
    maximum: float | None = msgspec.field(name="max", default=None)
    integer: bool = False
    values: _Values = ()
    policy: _Policy = "pass"
    nulls: _Policy | None = None
    constant: float | str | None = None
    max_age: Duration = Duration(0)


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    """The table as it is written; see `QualityOptions`."""

    event_time: Annotated[str, msgspec.Meta(description="the name of a request parameter")] = ""
    max_age: Duration = Duration(0)
    stale: Literal["reject", "pass"] = "pass"
    fields: Annotated[
        dict[str, _Field],
        msgspec.Meta(max_length=MAX_FIELDS, description=f"a table of at most {MAX_FIELDS} fields"),
    ] = {}


def parse_quality(table: Any, source: str) -> QualityOptions:
    """Check the decoded table; `source` names the file in errors.

    Raises:
        ConfigError: An unknown key or a bad value.
    """
    found = convert(_Table, table, source, "quality", noun="a table", error=ConfigError)
    if bool(found.event_time) != bool(found.max_age):
        raise ConfigError(f"{source}: quality needs event_time and max_age, or neither")
    rules = tuple(_rule(name, one, source) for name, one in found.fields.items())
    return QualityOptions(rules, found.event_time, float(found.max_age), found.stale)


def _rule(name: str, found: _Field, source: str) -> FieldRule:
    """The rule of one field; what its keys say of one another is checked here."""
    where = f"{source}: quality.fields.{name}"
    low, high = found.minimum, found.maximum
    if low is not None and high is not None and low > high:
        raise ConfigError(f"{where}: min is above max")
    nulls = found.nulls or found.policy
    if IMPUTE in {found.policy, nulls} and found.constant is None:
        raise ConfigError(f"{where}: impute needs a constant")
    if len({isinstance(one, str) for one in found.values}) > 1:
        raise ConfigError(
            f"{where}.values is {shown([*found.values])}, expected only numbers or only texts"
        )
    return FieldRule(
        field=name,
        integer=found.integer,
        minimum=low,
        maximum=high,
        values=found.values,
        policy=found.policy,
        nulls=nulls,
        constant=0.0 if found.constant is None else found.constant,
        max_age_seconds=float(found.max_age),
    )
