"""The options of ``penstock`` itself: its version, and completion for shells."""

import sys
from typing import Annotated, Any

import typer
from typer.main import get_install_completion_arguments

from .verb import adapted


def root_options() -> list[Any]:
    """The options, as Typer has them."""
    app = typer.Typer(add_completion=False)
    app.command()(_options)
    params = [*typer.main.get_command(app).params, *get_install_completion_arguments()]
    return [adapted(one) for one in params]


def _show_version(value: bool) -> None:  # noqa: FBT001  Typer calls it
    """Looks the version up only when asked: importlib.metadata is slow and large."""
    if not value:
        return
    from penstock.monitoring.distribution import server_version

    print(f"penstock {server_version()}")
    sys.exit(0)


def _options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Read by `root_options`; nothing calls it."""
    del version
