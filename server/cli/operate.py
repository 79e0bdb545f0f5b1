"""``penstock load | unload | promote | rollback | alias``: commands to a running server."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from .arguments import Json, Model, Reason, Version
from .client import AdminClient, ServerOptions, find_server, model_path
from .command_failed import CommandFailed
from .completion import complete_alias, complete_version
from .exits import Exit
from .output import show_json
from .user import said_by


@dataclass(frozen=True, slots=True)
class ChangeOptions(ServerOptions):
    """The options of every command that changes what serves."""

    reason: Reason = ""
    generation: Annotated[
        int | None,
        typer.Option(metavar="N", help="Of the state you saw; default: of the state right now."),
    ] = None
    as_json: Json = False


def run_load(
    model: Model,
    version: Version,
    options: ChangeOptions,
    *,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept",
            help="Although it answers its golden requests otherwise or breaks clients; needs "
            "--reason.",
        ),
    ] = False,
) -> int:
    """Load a version on every worker.

    Answers when every worker has followed.
    """
    more = {"accept": True} if accept else {}
    return _of_version("load", model, version, options, more)


def run_unload(model: Model, version: Version, options: ChangeOptions) -> int:
    """Unload a version from every worker.

    Answers when every worker has followed.
    """
    return _of_version("unload", model, version, options, {})


def run_promote(model: Model, version: Version, options: ChangeOptions) -> int:
    """Make a version stable: it answers requests that name none.

    Answers when every worker has followed.
    """
    return _of_version("promote", model, version, options, {})


def run_rollback(
    model: Model,
    options: ChangeOptions,
    *,
    force: Annotated[
        bool,
        typer.Option("--force", help="Without a verification on requests of the last day."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="The verification alone.")] = False,
) -> int:
    """Make stable again what was stable before.

    Answers when every worker has followed.
    """
    asked = {"force": force, "dry_run": dry_run}
    more = {name: True for name, given in asked.items() if given}
    return _run(
        options,
        lambda client, body: client.ask("POST", model_path(model, "/rollback"), body | more),
    )


def run_alias(
    model: Model,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="The alias.", autocompletion=complete_alias),
    ],
    version: Annotated[
        int | None,
        typer.Argument(
            metavar="VERSION", help="Where it is to point.", autocompletion=complete_version
        ),
    ] = None,
    *,
    options: ChangeOptions,
    remove: Annotated[bool, typer.Option("--remove", help="Forget the name.")] = False,
) -> int:
    """Point a name at a version, or forget it.

    Answers when every worker has followed.
    """
    path = model_path(model, f"/aliases/{quote(name, safe='')}")
    if remove:
        return _run(options, lambda client, body: client.ask("DELETE", path, body))
    if version is None:
        raise CommandFailed("name a VERSION, or --remove")
    return _run(options, lambda client, body: client.ask("PUT", path, body | {"version": version}))


def _of_version(
    verb: str, model: str, version: int, options: ChangeOptions, more: Mapping[str, Any]
) -> int:
    path = model_path(model, f"/versions/{version}/{verb}")
    return _run(options, lambda client, body: client.ask("POST", path, {**body, **more}))


def _run(options: ChangeOptions, send: Callable[[AdminClient, dict[str, Any]], Any]) -> int:
    """Send a command on the present state, or on the state that the user saw."""
    client = find_server(options)
    generation = options.generation
    if generation is None:
        generation = client.get("/admin/status")["generation"]
    outcome = send(client, said_by(options.reason) | {"generation": generation})
    return _show(outcome, as_json=options.as_json)


def _show(outcome: dict[str, Any], *, as_json: bool) -> int:
    """Print the result of a command; returns the exit status."""
    verification = outcome.get("verification")
    lines = [] if verification is None else verification_lines(verification)
    if "action" not in outcome:  # nothing was to change
        status = Exit.FAILED if verification and verification["state"] == "invalid" else Exit.DONE
    else:
        behind = [f"  not yet: {worker}: {why}" for worker, why in outcome["waiting"].items()]
        lines = [describe(outcome), *lines, *behind]
        status = Exit.DONE if outcome["converged"] else Exit.FAILED
    if as_json:
        show_json(outcome)
    else:
        print("\n".join(lines))
    return status


def describe(outcome: dict[str, Any]) -> str:
    """The present state in one line."""
    model, version = outcome["model"], outcome["version"]
    names = ", ".join(f"{name} is {one}" for name, one in sorted(outcome["aliases"].items()))
    done = f"{outcome['action']} {model}" + ("" if version is None else f" version {version}")
    return f"{done}: {names or 'no aliases'}; generation {outcome['generation']}"


def verification_lines(found: dict[str, Any]) -> list[str]:
    """The verification of the version that a rollback goes back to, as lines."""
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
