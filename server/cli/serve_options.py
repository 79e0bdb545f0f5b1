"""The options of ``penstock serve``: one flag for each option of the configuration."""

from dataclasses import make_dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.server.config.config import OPTIONS

from .verb import SWITCH, as_written

if TYPE_CHECKING:
    from penstock.server.config.option import Option


def _annotation(option: "Option") -> Any:
    text = option.help.rstrip(".")
    if option.default is not None:
        shown = str(option.default).lower() if option.kind == "bool" else option.default
        text += f" (default {shown})"
    # Text, of a switch too: every value is checked in one place.
    metavar = "|".join(option.choices) or option.kind.upper()
    return Annotated[
        str | None,
        typer.Option(
            option.flag,
            metavar=SWITCH if option.kind == "bool" else metavar,
            help=as_written(f"{text}."),
            show_default=False,
            autocompletion=_completion(option.choices),
        ),
    ]


def _completion(choices: tuple[str, ...]) -> Any:
    def complete(incomplete: str) -> list[str]:
        return [one for one in choices if one.startswith(incomplete)]

    return complete


if TYPE_CHECKING:
    ServeOptions = Any
else:
    ServeOptions = make_dataclass(
        "ServeOptions",
        [(one.name, _annotation(one), None) for one in OPTIONS if one.name != "registry"],
        frozen=True,
    )
