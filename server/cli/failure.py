"""How a command says that it failed: in lines for people, or with ``--json`` as one JSON object."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Final

from .command_failed import CommandFailed
from .exits import Exit
from .output import note

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Code of an error that no command expects.
_INTERNAL: Final = "internal_error"


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for JSON; it may be one that cannot be read."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return "--json" in arguments[:end]


def tell_failure(failure: CommandFailed, *, as_json: bool) -> Exit:
    """Say on standard error why a command failed; returns its exit status."""
    if as_json:
        _tell(failure)
    else:
        note(failure)
    return failure.status


def tell_usage(lines: Sequence[str], *, as_json: bool) -> Exit:
    """Say on standard error what is wrong with a command line; returns the exit status.

    Args:
        lines: The usage, and last what is wrong with it; see `usage_error_lines`.
        as_json: Whether the command line asks for JSON.
    """
    if as_json:
        failure = CommandFailed(lines[-1].partition(": ")[2], Exit.USAGE)
        return tell_failure(failure, as_json=True)
    print(*lines, sep="\n", file=sys.stderr)
    return Exit.USAGE


def tell_unexpected(error: Exception) -> Exit:
    """Say as JSON what no command expects, after its traceback; returns the exit status."""
    import traceback

    traceback.print_exception(error)
    failure = CommandFailed(f"{type(error).__name__}: {error}", code=_INTERNAL)
    _tell(failure)
    return failure.status


def _tell(failure: CommandFailed) -> None:
    print(json.dumps({"error": failure.told()}), file=sys.stderr, flush=True)
