"""``penstock load | unload | promote | rollback | alias``: commands to a running server."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from .client import AdminClient, CommandFailed, add_client_options, find_server

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    Send = Callable[[AdminClient, argparse.Namespace, dict[str, Any]], Any]

_EXIT_FAILURE: Final = 1


def add_parser(verbs: Any) -> None:
    """Add the verbs."""
    for verb, text in (
        ("load", "load a version on every worker"),
        ("unload", "unload a version from every worker"),
        ("promote", "make a version stable: it answers requests that name none"),
    ):
        parser = _add(verbs, verb, text, partial(_version_command, verb=verb))
        parser.add_argument("version", type=int, metavar="VERSION")
        if verb == "load":
            parser.add_argument(
                "--accept",
                action="store_true",
                help="although it answers its golden requests otherwise or breaks clients; "
                "needs --reason",
            )
    parser = _add(verbs, "rollback", "make stable again what was stable before", _rollback)
    parser.add_argument(
        "--force", action="store_true", help="without a verification on requests of the last day"
    )
    parser.add_argument("--dry-run", action="store_true", help="the verification alone")
    parser = _add(verbs, "alias", "point a name at a version, or forget it", _alias)
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("version", type=int, nargs="?", metavar="VERSION")
    parser.add_argument("--remove", action="store_true", help="forget the name")


def _add(verbs: Any, verb: str, text: str, send: Send) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(
        verb,
        help=text,
        description=f"{text[0].upper()}{text[1:]}. Answers when every worker has followed.",
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; it is on record")
    parser.add_argument(
        "--generation",
        type=int,
        metavar="N",
        help="of the state you saw; by default of the state right now",
    )
    parser.add_argument("--json", action="store_true", help="as the admin port says it")
    add_client_options(parser)
    parser.set_defaults(run=partial(_run, send=send))
    return parser


def _run(namespace: argparse.Namespace, send: Send) -> int:
    try:
        client = find_server(namespace)
        generation = namespace.generation
        if generation is None:
            generation = client.get("/admin/status")["generation"]
        body = {"reason": namespace.reason, "generation": generation, "by": user()}
        outcome = send(client, namespace, {key: one for key, one in body.items() if one != ""})
    except CommandFailed as failure:
        print(f"penstock: {failure}", file=sys.stderr)
        return _EXIT_FAILURE
    return _show(outcome, as_json=namespace.json)


def _show(outcome: dict[str, Any], *, as_json: bool) -> int:
    """Print what came of a command; returns the exit status."""
    verification = outcome.get("verification")
    lines = [] if verification is None else verification_lines(verification)
    if "action" not in outcome:  # nothing was to change
        status = _EXIT_FAILURE if verification and verification["state"] == "invalid" else 0
    else:
        behind = [f"  not yet: {worker}: {why}" for worker, why in outcome["waiting"].items()]
        lines = [describe(outcome), *lines, *behind]
        status = 0 if outcome["converged"] else _EXIT_FAILURE
    print(json.dumps(outcome, indent=2) if as_json else "\n".join(lines))
    return status


def describe(outcome: dict[str, Any]) -> str:
    """One line on what is now."""
    model, version = outcome["model"], outcome["version"]
    names = ", ".join(f"{name} is {one}" for name, one in sorted(outcome["aliases"].items()))
    done = f"{outcome['action']} {model}" + ("" if version is None else f" version {version}")
    return f"{done}: {names or 'no aliases'}; generation {outcome['generation']}"


def verification_lines(found: dict[str, Any]) -> list[str]:
    """What is known of the version that a rollback goes back to."""
    lines = [f"version {found['version']} on today's data: {found['state']}: {found['reason']}"]
    if not found.get("requests"):
        return lines
    since, until = (
        datetime.fromtimestamp(found[key], UTC).strftime("%Y-%m-%d %H:%M:%S")
        for key in ("since", "until")
    )
    lines.append(
        f"  computed {found['requests']} requests, {found['rows']} rows, of {since} to {until}: "
        f"{found['failed']} failed, {found['invalid']} with NaN or infinity"
    )
    if found["compared"]:
        lines.append(
            f"  {found['differing']} of {found['compared']} answers differ from those of version "
            f"{found['serving']}, which serves"
        )
    drifted = found["drifted"]
    if drifted is None:
        lines.append(f"  drift of its outputs is not known: {found['drift_note']}")
    else:
        moved = f"drifted: {', '.join(drifted)}" if drifted else "as when it served"
        lines.append(f"  its outputs: {moved}")
    return [*lines, *([f"  left out: {found['note']}"] if found["note"] else [])]


def _version_command(
    client: AdminClient, namespace: argparse.Namespace, body: dict[str, Any], verb: str
) -> Any:
    path = f"{_model(namespace)}/versions/{namespace.version}/{verb}"
    if getattr(namespace, "accept", False):
        body = {**body, "accept": True}
    return client.ask("POST", path, body)


def _rollback(client: AdminClient, namespace: argparse.Namespace, body: dict[str, Any]) -> Any:
    asked = {"force": namespace.force, "dry_run": namespace.dry_run}
    body = {**body, **{key: True for key, given in asked.items() if given}}
    return client.ask("POST", f"{_model(namespace)}/rollback", body)


def _alias(client: AdminClient, namespace: argparse.Namespace, body: dict[str, Any]) -> Any:
    path = f"{_model(namespace)}/aliases/{quote(namespace.name, safe='')}"
    if namespace.remove:
        return client.ask("DELETE", path, body)
    if namespace.version is None:
        raise CommandFailed("name a VERSION, or --remove")
    return client.ask("PUT", path, {**body, "version": namespace.version})


def _model(namespace: argparse.Namespace) -> str:
    return f"/admin/models/{quote(namespace.model, safe='')}"


def user() -> str:
    """Who sits here, for the record; nothing where the system does not know."""
    import re
    from getpass import getuser

    try:
        return re.sub(r"[^\w.@+-]", "_", getuser())[:64]
    except (OSError, KeyError):
        return ""
