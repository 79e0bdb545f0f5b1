"""``penstock audit verify``: follow the chain of the audit log."""

from pathlib import Path
from typing import Annotated

import typer

from .arguments import Json
from .choice import one_of
from .command_failed import CommandFailed
from .exits import Exit
from .output import show_json


def run_verify(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="PATH", help="Directory of the log, or one segment."),
    ] = None,
    *,
    state_dir: Annotated[Path | None, typer.Option(metavar="DIR", help="Of the server.")] = None,
    as_json: Json = False,
) -> int:
    """Follow the hash chain from the first record to the last.

    Exit status 1: a record was changed.
    """
    from penstock.server.desired_state.audit import segments_of, verify_log

    one_of("PATH", path, "--state-dir", state_dir)
    place = path or Path(state_dir or "", "audit")
    if not place.exists() or not segments_of(place):
        raise CommandFailed(f"there is no audit log at {place}", Exit.USAGE)
    found = verify_log(place)
    if as_json:
        problem = found.problem or None
        show_json({"records": found.records, "head": found.head, "problem": problem})
    elif found.problem:
        print(f"BROKEN after record {found.records}: {found.problem}")
    else:
        print(f"ok: {found.records} records, head {found.head}")
    return Exit.FAILED if found.problem else Exit.DONE
