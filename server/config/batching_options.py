"""``[batching]`` of ``model.toml``: bounds and wishes of a model's batches.

[batching]
slo_milliseconds = 50                # answers later than this are worthless
max_batch_size = 64                  # and the other fields of BatchingOptions
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003
from dataclasses import fields
from typing import Any, Final

from penstock.batching.options import BatchingOptions
from penstock.server.files.option_decoder import ConfigError

from .checks import bad, check_keys, number

_MILLISECONDS: Final = "slo_milliseconds"
_MAX_SLO_MILLISECONDS: Final = 86_400_000


def parse_batching(table: Any, source: str) -> BatchingOptions:
    """Check the decoded table; `source` names the file in errors.

    Raises:
        ConfigError: An unknown key or a bad value.
    """
    if not isinstance(table, dict):
        raise bad(source, "batching", table, "a table")
    kinds = {one.name: type(one.default) for one in fields(BatchingOptions)}
    del kinds["slo_seconds"]
    check_keys(table, (_MILLISECONDS, *kinds), source, "batching.")
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name == _MILLISECONDS:
            values["slo_seconds"] = _slo(source, value) / 1000
        elif kinds[name] is float:
            values[name] = number(source, f"batching.{name}", value)
        elif type(value) is kinds[name]:
            values[name] = value
        else:
            raise bad(source, f"batching.{name}", value, _WORDS[kinds[name]])
    try:
        return BatchingOptions(**values)
    except ValueError as error:
        raise ConfigError(f"{source}: batching: {error}") from error


_WORDS: Final[Mapping[type, str]] = {int: "a whole number", bool: "true or false"}


def _slo(source: str, value: Any) -> float:
    milliseconds = number(source, f"batching.{_MILLISECONDS}", value)
    if not 0 < milliseconds <= _MAX_SLO_MILLISECONDS:
        expected = f"more than 0, at most {_MAX_SLO_MILLISECONDS}"
        raise bad(source, f"batching.{_MILLISECONDS}", value, expected)
    return milliseconds
