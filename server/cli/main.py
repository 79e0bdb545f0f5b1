"""``penstock``: the command line. Nothing heavy is imported before the verb is known."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import typer
from typer.exceptions import TyperException

from penstock.monitoring.text import is_text
from penstock.runtimes.telemetry import switch_off

from .command_failed import CommandFailed
from .endings import ended
from .exits import Exit
from .failure import asks_for_json, tell_failure, tell_unexpected, tell_usage
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
    as_json = asks_for_json(given)
    for place, one in enumerate(given, 1):
        if not is_text(one):
            wrong = CommandFailed(f"argument {place} is not UTF-8: {one!a}", Exit.USAGE)
            return tell_failure(wrong, as_json=as_json)
    return ended(lambda: _run(given, as_json=as_json))


def _run(given: list[str], *, as_json: bool) -> int:
    try:
        return _invoke(given)
    except TyperException as error:
        lines = usage_error_lines(error, _PROGRAM)
        raise SystemExit(tell_usage(lines, as_json=as_json)) from None
    except CommandFailed as failure:
        return tell_failure(failure, as_json=as_json)
    except BrokenPipeError:  # nobody reads, see `ended`
        raise
    except Exception as error:
        if not as_json:
            raise
        return tell_unexpected(error)


def _invoke(given: list[str]) -> int:
    command = build_command()
    if _COMPLETION in os.environ:
        command.main(given, prog_name=_PROGRAM)
    try:
        with command.make_context(_PROGRAM, given) as context:
            return int(command.invoke(context) or 0)
    except typer.Exit as end:
        return end.exit_code


def build_command() -> VerbGroup:
    """The command of all verbs."""
    statuses = "; ".join(f"{one.value} {one.meaning}" for one in Exit)
    return VerbGroup("", params=root_options(), epilog=f"Exit status: {statuses}.")


if __name__ == "__main__":
    sys.exit(main())
