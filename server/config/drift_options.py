"""``[monitoring]`` of ``model.toml``: how a model is watched for drift.

[monitoring]
features = ["age", "income"]     # names of the input scalars, in the order of the model's inputs
window = "1h"                    # a window lasts at least so long; a number is seconds
window_rows = 500                # and has at least so many rows
max_window = "24h"               # but is closed after this
psi_warn = 0.10                  # and the other fields of DriftOptions
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.files.wording import did_you_mean, shown
from penstock.server.errors import InvalidRequest
from penstock.server.files.option_decoder import ConfigError, finite
from penstock.server.rollout.options import parse_duration

_DURATIONS: Final = {
    "window": "window_seconds",
    "max_window": "max_window_seconds",
    "learning_time": "learning_seconds",
    "baseline_time": "baseline_seconds",
}
_KINDS: Final[dict[str, type]] = {
    one.name: type(getattr(DriftOptions(), one.name)) for one in fields(DriftOptions)
}
_WORDS: Final[dict[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}
#: Keys of the table.
KEYS: Final = (*_DURATIONS, *(name for name in _KINDS if name not in _DURATIONS.values()))


def parse_monitoring(table: Any, source: str) -> DriftOptions:
    """Check the decoded table; `source` names the file in errors.

    Raises:
        ConfigError: An unknown key or a bad value.
    """
    if not isinstance(table, dict):
        raise ConfigError(f"{source}: monitoring is {shown(table)}, expected a table")
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in KEYS:
            hint = did_you_mean(name, list(KEYS))
            raise ConfigError(f"{source}: unknown key monitoring.{name}{hint}")
        try:
            values[_DURATIONS.get(str(name), str(name))] = _read(str(name), value)
        except InvalidRequest as error:
            raise ConfigError(f"{source}: monitoring.{name}: {error.message}") from None
    try:
        return DriftOptions(**values)
    except ValueError as error:
        raise ConfigError(f"{source}: monitoring: {error}") from error


def _read(name: str, value: Any) -> Any:
    """The value of a key, checked."""
    if name in _DURATIONS:
        return parse_duration(value)
    kind = _KINDS[name]
    if kind is tuple:
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise InvalidRequest(f"{shown(value)} is no list of names")
        if len(set(value)) < len(value):
            raise InvalidRequest("a name comes twice")
        return tuple(value)
    if kind is float and type(value) is int:
        value = finite(value)
    if type(value) is not kind or (kind is not bool and finite(value) is None):
        raise InvalidRequest(f"{shown(value)} is not {_WORDS[kind]}")
    return value
