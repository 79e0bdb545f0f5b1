"""``penstock predictions show``, ``penstock erase``: single predictions."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .arguments import Json, Model
from .choice import one_of
from .client import ServerOptions, find_server, model_path
from .command_failed import CommandFailed
from .output import note, show_json
from .place import StateDir, find_state


def run_show(
    request_id: Annotated[
        str, typer.Argument(metavar="REQUEST_ID", help="As x-request-id has it.")
    ],
    *,
    registry: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where its version is.")
    ] = None,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> int:
    """Show a prediction, and the version, files, run and data that it comes from."""
    import sqlite3

    from penstock.monitoring.prediction_log.lookup import find
    from penstock.server.registry.lineage import lineage

    state, served = find_state(state_dir)
    try:
        rows, notes = find(state / "monitor", request_id)
    except sqlite3.Error as failure:
        raise CommandFailed(failure) from None
    for one in notes:
        note(one)
    if not rows:
        raise CommandFailed(f"there is no prediction {request_id!r} in the log of {state}")
    from .query import shown

    first = rows[0]
    found = lineage(registry or served, first["model"], first["version"])
    chain = found.check(first["digest"] or "")
    if as_json:
        show_json({"predictions": rows, "lineage": chain}, default=shown)
        return 0
    for row in rows:
        for name, value in row.items():
            if value is not None:
                print(f"{name:<24} {shown(value) if isinstance(value, bytes) else value}")
        print()
    for name, value in chain.items():
        print(f"{name:<24} {value}")
    return 0


def run_erase(
    model: Model,
    server: ServerOptions,
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="For the audit log.")],
    subject: Annotated[
        str | None, typer.Option(metavar="VALUE", help="Of the field that names it.")
    ] = None,
    request_id: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Of a prediction; repeatable.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Erase what the prediction log keeps of a subject, or of some requests, and their labels.

    model.toml says which field the subject is: [log] subject.
    """
    one_of("--subject", subject, "--request-id", request_id or None)
    body: dict[str, Any] = {"reason": reason}
    if subject is not None:
        body["subject"] = subject
    else:
        body["request_ids"] = request_id
    found = find_server(server).ask("POST", model_path(model, "/erase"), body)
    if as_json:
        show_json(found)
        return 0
    print(f"{found['rows']} rows in {found['files']} files and {found['labels']} labels are erased")
    if found["without"]:
        print(f"{found['without']} files have no such field")
    return 0
