"""An option of the server: its name in every source, its type, and what a person reads of it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

from penstock.monitoring.files.config_file import MAX_NUMBER

_BOOLEANS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def option(default: Any, text: str) -> Any:
    """A dataclass field that is an option; `text` is one sentence about it."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True)
class Option:
    """One field of `ServerConfig`.

    Attributes:
        name: Key in ``penstock.toml``.
        kind: ``str``, ``int``, ``float``, ``bool`` or ``Path``.
        choices: The allowed values, if they are few.
        default: Its value when no source names it.
        help: One sentence.
    """

    name: str
    kind: str
    choices: tuple[str, ...]
    default: Any
    help: str

    @property
    def flag(self) -> str:
        """The option on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The option in the environment."""
        return "PENSTOCK_" + self.name.upper()

    def plain(self, text: Any) -> Any:
        """What stands for a text of the environment or of the command line in a TOML file.

        A text that is no value of the option stays as it is: the decoder then refuses it by its
        name.
        """
        if not isinstance(text, str):
            return text
        text = text.strip()
        if self.kind == "bool":
            return _BOOLEANS.get(text.lower(), text)
        if self.kind not in {"int", "float"}:
            return text
        try:
            number = int(text) if self.kind == "int" else float(text)
        except ValueError:
            return text
        return number if abs(number) <= MAX_NUMBER else text


def options_of(config: type) -> tuple[Option, ...]:
    """The options of a configuration dataclass: its own in their order, then inherited ones."""
    hints = get_type_hints(config, include_extras=True)
    ordered = sorted(fields(config), key=lambda one: one.name not in config.__annotations__)
    return tuple(
        Option(one.name, *_kind(hints[one.name]), one.default, one.metadata["help"])
        for one in ordered
        if "help" in one.metadata
    )


def _kind(hint: Any) -> tuple[str, tuple[str, ...]]:
    """The name of the plain type, and the choices."""
    inner = get_args(hint)
    if get_origin(hint) is Literal:
        return "str", inner
    if get_origin(hint) is Annotated or type(None) in inner:
        return _kind(inner[0])
    for plain in (bool, int, float, Path):
        if issubclass(hint, plain):
            return plain.__name__, ()
    return "str", ()
