"""One configuration option: its name in every source, and how its text becomes a value."""

from __future__ import annotations

import re
from dataclasses import MISSING, Field, field, fields
from pathlib import Path
from typing import Any, Final

from penstock.monitoring.files.wording import shown

_BYTE_UNITS: Final = {"": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
_BYTES: Final = re.compile(r"(\d+)\s*([KMG]iB)?", re.IGNORECASE)
_BOOLEANS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


#: Of an option that has no limit of its own: still one that every clock and file size can carry.
_MOST: Final = 2**53


class ConfigError(Exception):
    """A configuration is wrong; the message names source, key and what was expected."""


def finite(value: Any) -> float | None:
    """The value if it is a number that is finite and that a float can hold; 1 is not true."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MOST:
        return None
    return float(value)


def option(
    default: Any,
    text: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field that is an option; see `Option`."""
    metadata = {"help": text, "minimum": minimum, "maximum": maximum, "choices": choices}
    return field(default=default, metadata=metadata)


class Option:
    """An option of `ServerConfig`, made from its field.

    Attributes:
        name: Key in ``penstock.toml``.
        flag: On the command line.
        variable: In the environment.
        kind: ``str``, ``int``, ``float``, ``bool`` or ``Path``; text of a size may have a unit.
        optional: Whether it may be unset (``None``).
        default: Its value when no source names it.
        help: One sentence.
        choices: The allowed values, if they are few.
    """

    def __init__(self, source: Field[Any]) -> None:
        kind, _, rest = str(source.type).partition(" | ")
        self.name = source.name
        self.flag = "--" + source.name.replace("_", "-")
        self.variable = "PENSTOCK_" + source.name.upper()
        self.kind = kind
        self.optional = rest == "None"
        self.default = None if source.default is MISSING else source.default
        self.help: str = source.metadata["help"]
        self.choices: tuple[str, ...] = source.metadata["choices"]
        self._minimum: float | None = source.metadata["minimum"]
        self._maximum: float | None = source.metadata["maximum"]

    @property
    def expected(self) -> str:
        """What a value must look like, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        words = {
            "str": "a text",
            "Path": "a path",
            "bool": "true or false",
            "int": "a whole number",
            "float": "a number",
        }[self.kind]
        if self.name.endswith("_bytes"):
            words = "a size such as 65536 or 64KiB"
        low, high = self._minimum, self._maximum
        if low is not None and high is not None:
            return f"{words} from {low:g} to {high:g}"
        return f"{words}, at least {low:g}" if low is not None else words

    def parse(self, value: Any, source: str) -> Any:
        """The value of the option, from text or from a TOML value.

        Raises:
            ConfigError: It is not what was expected; `source` says where it came from.
        """
        parsed = self._convert(value)
        low, high = self._minimum, self._maximum
        wrong = (
            parsed is None
            or (self.choices and parsed not in self.choices)
            or (low is not None and not parsed >= low)
            or (high is not None and not parsed <= high)
            or (self.kind in {"int", "float"} and not abs(parsed) <= _MOST)
        )
        if wrong:
            raise ConfigError(f"{source}: {self.name} is {shown(value)}, expected {self.expected}")
        return parsed

    def _convert(self, value: Any) -> Any:
        """The value in its own type, or ``None``. TOML types are not bent: 1 is not true."""
        if isinstance(value, str):
            return self._convert_text(value.strip())
        if self.kind == "bool" or isinstance(value, bool):
            return value if self.kind == "bool" and isinstance(value, bool) else None
        if self.kind == "int":
            return value if isinstance(value, int) else None
        if self.kind == "float":
            return finite(value)
        return None

    def _convert_text(self, text: str) -> Any:
        if self.kind == "bool":
            return _BOOLEANS.get(text.lower())
        if self.name.endswith("_bytes"):
            size = _BYTES.fullmatch(text)
            return int(size[1]) * _BYTE_UNITS[(size[2] or "").upper()] if size else None
        try:
            return {"int": int, "float": float, "str": str, "Path": Path}[self.kind](text)
        except ValueError:
            return None


def options_of(config: Any) -> tuple[Option, ...]:
    """The options of a configuration dataclass, in its order."""
    return tuple(Option(one) for one in fields(config))
