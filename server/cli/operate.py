"""``penstock load | unload | promote | rollback | alias``: commands to a running server."""

from __future__ import annotations

import sys
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
    _add(verbs, "rollback", "make stable again what was stable before", _rollback)
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
    print(describe(outcome))
    for worker, why in outcome["waiting"].items():
        print(f"  not yet: {worker}: {why}")
    return 0 if outcome["converged"] else _EXIT_FAILURE


def describe(outcome: dict[str, Any]) -> str:
    """One line on what is now."""
    model, version = outcome["model"], outcome["version"]
    names = ", ".join(f"{name} is {one}" for name, one in sorted(outcome["aliases"].items()))
    done = f"{outcome['action']} {model}" + ("" if version is None else f" version {version}")
    return f"{done}: {names or 'no aliases'}; generation {outcome['generation']}"


def _version_command(
    client: AdminClient, namespace: argparse.Namespace, body: dict[str, Any], verb: str
) -> Any:
    path = f"{_model(namespace)}/versions/{namespace.version}/{verb}"
    if getattr(namespace, "accept", False):
        body = {**body, "accept": True}
    return client.ask("POST", path, body)


def _rollback(client: AdminClient, namespace: argparse.Namespace, body: dict[str, Any]) -> Any:
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
