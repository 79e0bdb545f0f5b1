"""``penstock rollout report | status`` and ``ab result``: how rollouts stand."""

from pathlib import Path
from typing import Annotated

import typer

from .arguments import Json, Model
from .client import ServerOptions, find_server, model_path
from .command_failed import CommandFailed
from .output import show, show_json

_Page = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE.html", help="As a page with plots."),
]


def run_report(
    model: Model, server: ServerOptions, *, as_json: Json = False, output: _Page = None
) -> int:
    """Show everything about the last rollout of a model."""
    found = find_server(server).get(model_path(model, "/rollout/report"))
    if output is not None:
        from penstock.server.console.rollout_page import rollout_page

        page = rollout_page(found)
        try:
            output.write_text(page, encoding="utf-8")
        except OSError as error:
            raise CommandFailed(f"{output} cannot be written: {error.strerror or error}") from None
    if as_json:
        show_json(found)
    elif output is not None:
        print(f"{output}: rollout {found['id']}, {found['phase']}")
    else:
        from .rollout_view import report_view

        show(report_view(found))
    return 0


def run_result(
    model: Model, server: ServerOptions, *, as_json: Json = False, output: _Page = None
) -> int:
    """Show the result of the A/B test; it may be read at any time."""
    return run_report(model, server, as_json=as_json, output=output)


def run_status(server: ServerOptions, *, as_json: Json = False) -> int:
    """Show all rollouts, one line each."""
    models = find_server(server).get("/admin/status")["models"]
    rollouts = [one["rollout"] for one in models if one["rollout"] is not None]
    if as_json:
        show_json(rollouts)
    elif not rollouts:
        print("no rollout is in progress, and none was")
    else:
        from .rollout_view import rollouts_view

        show(rollouts_view(rollouts))
    return 0
