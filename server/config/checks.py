"""Checks of keys and values of ``model.toml``, with errors that say what was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.monitoring.files.wording import did_you_mean, shown
from penstock.server.files.option_decoder import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


def bad(source: str, key: str, value: Any, expected: str) -> ConfigError:
    """The error of a bad value."""
    return ConfigError(f"{source}: {key} is {shown(value)}, expected {expected}")


def check_keys(table: Mapping[str, Any], known: tuple[str, ...], source: str, prefix: str) -> None:
    """Refuse keys that nobody knows.

    Raises:
        ConfigError: There is one.
    """
    for name in table:
        if name not in known:
            hint = did_you_mean(name, list(known))
            raise ConfigError(f"{source}: unknown key {prefix}{name}{hint}")


def whole(source: str, key: str, value: Any, most: int) -> int:
    """A whole number from 1 to `most`.

    Raises:
        ConfigError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise bad(source, key, value, f"a whole number from 1 to {most}")
    return value
