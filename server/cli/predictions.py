"""``penstock predictions show``, ``penstock erase``: single predictions."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from .client import CommandFailed, add_client_options, find_server
from .place import add_place_option, find_state

if TYPE_CHECKING:
    import argparse

_EXIT_FAILURE: Final = 1


def add_parser(verbs: Any) -> None:
    """Add the verbs."""
    predictions: argparse.ArgumentParser = verbs.add_parser(
        "predictions", help="look a prediction up"
    )
    actions = predictions.add_subparsers(title="commands", metavar="COMMAND", required=True)
    parser: argparse.ArgumentParser = actions.add_parser(
        "show",
        help="a prediction, and the version, files, run and data that it comes from",
        description="A prediction by its x-request-id, and where it comes from.",
    )
    parser.add_argument("request_id", metavar="REQUEST_ID")
    parser.add_argument("--registry", type=Path, metavar="DIR", help="where its version is")
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_place_option(parser)
    parser.set_defaults(run=run_show)
    parser = verbs.add_parser(
        "erase",
        help="erase what is kept of a subject or of some requests",
        description=(
            "Erase what the prediction log keeps of a subject, or of some requests, and their "
            "labels. model.toml says which field the subject is: [log] subject."
        ),
    )
    parser.add_argument("model", metavar="MODEL")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--subject", metavar="VALUE", help="of that field")
    which.add_argument("--request-id", action="append", metavar="ID", help="may be given again")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="for the audit log")
    add_client_options(parser)
    parser.set_defaults(run=run_erase)


def run_show(namespace: argparse.Namespace) -> int:
    """Print the prediction; returns the exit status."""
    import sqlite3

    from penstock.monitoring.prediction_log.lookup import find
    from penstock.server.registry.lineage import lineage

    try:
        state, registry = find_state(namespace)
        rows, notes = find(state / "monitor", namespace.request_id)
    except (CommandFailed, sqlite3.Error) as failure:
        return _fail(failure)
    for note in notes:
        print(f"penstock: {note}", file=sys.stderr)
    if not rows:
        return _fail(f"there is no prediction {namespace.request_id!r} in the log of {state}")
    from .query import shown

    first = rows[0]
    found = lineage(namespace.registry or registry, first["model"], first["version"])
    chain = found.check(first["digest"] or "")
    if namespace.json:
        print(json.dumps({"predictions": rows, "lineage": chain}, default=shown, indent=2))
        return 0
    for row in rows:
        for name, value in row.items():
            if value is not None:
                print(f"{name:<24} {shown(value) if isinstance(value, bytes) else value}")
        print()
    for name, value in chain.items():
        print(f"{name:<24} {value}")
    return 0


def run_erase(namespace: argparse.Namespace) -> int:
    """Ask the server to erase; returns the exit status."""
    body: dict[str, Any] = {"reason": namespace.reason}
    if namespace.subject is not None:
        body["subject"] = namespace.subject
    else:
        body["request_ids"] = namespace.request_id
    path = f"/admin/models/{quote(namespace.model, safe='')}/erase"
    try:
        found = find_server(namespace).ask("POST", path, body)
    except CommandFailed as failure:
        return _fail(failure)
    print(f"{found['rows']} rows in {found['files']} files and {found['labels']} labels are erased")
    if found["without"]:
        print(f"{found['without']} files have no such field")
    return 0


def _fail(reason: object) -> int:
    print(f"penstock: {reason}", file=sys.stderr)
    return _EXIT_FAILURE
