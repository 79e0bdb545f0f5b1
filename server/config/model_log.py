"""``[log]`` of ``model.toml``: what of a prediction may be kept.

[log]
drop = ["name"]                      # inputs and outputs that never leave the worker
hash = ["customer"]                  # replaced by a keyed hash before they leave it
subject = "customer"                 # the input that names the subject of a prediction
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.files.wording import did_you_mean, shown
from penstock.server.files.option_decoder import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What of a model's predictions may be kept.

    Attributes:
        drop: Inputs and outputs that are left out.
        hash: Inputs and outputs that are replaced by their keyed hash.
        subject: The input that names the subject of a prediction; empty if there is none.
    """

    drop: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()
    subject: str = ""


#: Keys of the table.
KEYS: Final = tuple(one.name for one in fields(LogOptions))


def parse_log(table: Any, source: str) -> LogOptions:
    """Check the decoded table; `source` names the file in errors.

    Raises:
        ConfigError: An unknown key or a bad value.
    """
    if not isinstance(table, dict):
        raise ConfigError(f"{source}: log is {shown(table)}, expected a table")
    for name in table:
        if name not in KEYS:
            hint = did_you_mean(name, list(KEYS))
            raise ConfigError(f"{source}: unknown key log.{name}{hint}")
    subject = table.get("subject", "")
    if not isinstance(subject, str):
        raise ConfigError(f"{source}: log.subject is {subject!r}, expected the name of an input")
    options = LogOptions(_names(table, "drop", source), _names(table, "hash", source), subject)
    if both := set(options.drop) & set(options.hash):
        raise ConfigError(f"{source}: log: {min(both)!r} is in drop and in hash, expected one")
    if subject in options.drop:
        raise ConfigError(f"{source}: log.subject is {subject!r}, which is dropped")
    return options


def _names(table: Mapping[str, Any], key: str, source: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise ConfigError(
            f"{source}: log.{key} is {shown(value)}, expected names of inputs or outputs"
        )
    return tuple(value)
