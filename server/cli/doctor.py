"""``penstock doctor``: whether a server would run well here."""

import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from .arguments import Json
from .exits import Exit
from .output import plain, show, show_json, table

if TYPE_CHECKING:
    from penstock.server.config.config import ServerConfig

    from .machine_checks import Finding

_STYLES: Final = {"ok": "green", "warning": "yellow", "failed": "red"}


def run_doctor(
    registry: Annotated[
        str | None, typer.Argument(metavar="REGISTRY", help="The model repository.")
    ] = None,
    *,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Instead of ./penstock.toml.")
    ] = None,
    as_json: Json = False,
    clock: Callable[[], float] = time.time,
) -> int:
    """Look at what a server needs here: what is wrong, and how it is mended.

    Ports, permissions, /dev/shm, inotify, open files, CPU quota, memory, clock, extras. Nothing is
    changed. Exit status 1: a server would not start, or would not serve some model.
    """
    from .machine import read_machine
    from .machine_checks import Level, findings

    read, wrong = _configuration(registry, config)
    found = [*wrong, *findings(read_machine(read, clock()), read)]
    failed = any(one.level is Level.FAILED for one in found)
    if as_json:
        show_json({"ok": not failed, "findings": [asdict(one) for one in found]})
    else:
        _show(found)
    return Exit.FAILED if failed else Exit.DONE


def _configuration(registry: str | None, file: Path | None) -> "tuple[ServerConfig, list[Finding]]":
    """The configuration, and what is wrong with it; of one that cannot be read the defaults."""
    from penstock.server.config.config import ServerConfig, load_config
    from penstock.server.files.config_error import ConfigError

    from .machine_checks import Finding, Level
    from .needed_extras import check_extras

    try:
        read = load_config({"registry": registry}, os.environ, file)
    except ConfigError as error:
        mend = "correct it; the other findings are about the defaults"
        wrong = Finding("configuration", Level.FAILED, str(error), mend)
        return ServerConfig(registry=Path(registry or ".")), [wrong]
    try:
        check_extras(read, os.environ)
    except ConfigError as error:
        found, _, mend = str(error).partition(": ")
        return read, [Finding("extras", Level.FAILED, found, mend)]
    return read, []


def _show(found: "list[Finding]") -> None:
    made = table("", "", "")
    made.show_header = False
    for one in found:
        mend = f"\n[bold]{plain(one.mend)}[/]" if one.mend else ""
        level = f"[{_STYLES[one.level]}]{one.level}[/]"
        made.add_row(level, one.check, plain(one.found) + mend)
    show(made)
