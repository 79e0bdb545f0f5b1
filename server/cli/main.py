"""``penstock``: the command line. Nothing heavy is imported before the verb is known."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from penstock.monitoring.text import is_text
from penstock.runtimes.telemetry import switch_off

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Exit status of a wrong command line or configuration, as argparse has it.
EXIT_USAGE: Final = 2
#: As a shell reports a program that Ctrl-C, or the end of its reader, has ended.
EXIT_INTERRUPTED: Final = 130
EXIT_PIPE: Final = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    switch_off()
    given = sys.argv[1:] if arguments is None else arguments
    for place, one in enumerate(given, 1):
        if not is_text(one):
            print(f"penstock: argument {place} is not UTF-8: {one!a}", file=sys.stderr)
            return EXIT_USAGE
    try:
        try:
            namespace = build_parser().parse_args(given)
            run: Callable[[argparse.Namespace], int] = namespace.run
            return run(namespace)
        finally:
            sys.stdout.flush()  # here, where an error can still be told from success
    except BrokenPipeError:
        _stop_writing()
        return EXIT_PIPE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _stop_writing() -> None:
    """Nobody reads on, as with ``| head``: what is left in the buffer must not fail at the exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # no real file, as in tests
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    parser = argparse.ArgumentParser(
        prog="penstock",
        description="A high-throughput inference server with hot-loaded model versions.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    # These import no more than the options.
    from . import (
        alerts,
        audit,
        drift,
        export,
        look,
        operate,
        performance,
        predictions,
        query,
        registry,
        rollout,
        serve,
        token,
        ui,
    )

    for group in (
        serve,
        look,
        operate,
        rollout,
        registry,
        audit,
        drift,
        alerts,
        performance,
        query,
        predictions,
        export,
        token,
        ui,
    ):
        group.add_parser(verbs)
    return parser


class _Version(argparse.Action):
    """Looks the version up only when asked: importlib.metadata is slow and large."""

    def __call__(self, *_: object) -> None:
        from penstock.monitoring.distribution import server_version

        print(f"penstock {server_version()}")
        sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
