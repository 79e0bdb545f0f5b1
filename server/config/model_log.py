"""``[log]`` of ``model.toml``: what of a prediction may be kept.

[log]
drop = ["name"]                      # inputs and outputs that never leave the worker
hash = ["customer"]                  # replaced by a keyed hash before they leave it
subject = "customer"                 # the input that names the subject of a prediction
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from penstock.monitoring.files.decoding import convert
from penstock.server.files.config_error import ConfigError

_Name = Annotated[str, msgspec.Meta(min_length=1, description="the name of an input or output")]


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What of a model's predictions may be kept.

    Attributes:
        drop: Inputs and outputs that are left out.
        hash: Inputs and outputs that are replaced by their keyed hash.
        subject: The input that names the subject of a prediction; empty if there is none.
    """

    drop: tuple[_Name, ...] = ()
    hash: tuple[_Name, ...] = ()
    subject: Annotated[str, msgspec.Meta(description="the name of an input")] = ""


def parse_log(table: Any, source: str) -> LogOptions:
    """Check the decoded table; `source` names the file in errors.

    Raises:
        ConfigError: An unknown key or a bad value.
    """
    options = convert(
        LogOptions, table, source, "log", closed=True, noun="a table", error=ConfigError
    )
    if both := set(options.drop) & set(options.hash):
        raise ConfigError(f"{source}: log: {min(both)!r} is in drop and in hash, expected one")
    if options.subject in options.drop:
        raise ConfigError(f"{source}: log.subject is {options.subject!r}, which is dropped")
    return options
