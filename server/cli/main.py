"""``penstock``: the command line. Nothing heavy is imported before the verb is known."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import typer
from typer.exceptions import TyperException

from penstock.monitoring.text import is_text
from penstock.runtimes.telemetry import switch_off

from .exits import Exit
from .groups import VerbGroup
from .root_options import root_options
from .usage_error import usage_error_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROGRAM: Final = "penstock"
#: Set by the shell's completion script that Typer writes.
_COMPLETION: Final = "_PENSTOCK_COMPLETE"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status.

    Raises:
        SystemExit: The command line is wrong, or the version or a completion was asked for.
    """
    switch_off()
    given = list(sys.argv[1:] if arguments is None else arguments)
    for place, one in enumerate(given, 1):
        if not is_text(one):
            print(f"penstock: argument {place} is not UTF-8: {one!a}", file=sys.stderr)
            return Exit.USAGE
    try:
        try:
            return _run(given)
        finally:
            sys.stdout.flush()  # here, where an error can still be told from success
    except BrokenPipeError:
        _stop_writing()
        return Exit.PIPE
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # Rich exits so
            return Exit.PIPE
        raise
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def _run(given: list[str]) -> int:
    command = build_command()
    if _COMPLETION in os.environ:
        command.main(given, prog_name=_PROGRAM)
    try:
        with command.make_context(_PROGRAM, given) as context:
            return int(command.invoke(context) or 0)
    except typer.Exit as end:
        return end.exit_code
    except TyperException as error:
        print(*usage_error_lines(error, _PROGRAM), sep="\n", file=sys.stderr)
        raise SystemExit(Exit.USAGE) from None


def _stop_writing() -> None:
    """Nobody reads on, as with ``| head``: what is left in the buffer must not fail at the exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # no real file, as in tests
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def build_command() -> VerbGroup:
    """The command of all verbs."""
    statuses = "; ".join(f"{one.value} {one.meaning}" for one in Exit)
    return VerbGroup("", params=root_options(), epilog=f"Exit status: {statuses}.")


if __name__ == "__main__":
    sys.exit(main())
