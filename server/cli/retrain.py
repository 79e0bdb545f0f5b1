"""``penstock retrain MODEL | status``: start a retraining, and see how they stand."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from .arguments import Json, Reason
from .client import ServerOptions, find_server, model_path
from .command_failed import CommandFailed
from .completion import complete_model
from .exits import Exit
from .output import plain, show, show_json, table
from .user import said_by

if TYPE_CHECKING:
    from rich.console import RenderableType

_STATUS: Final = "status"
_STYLES: Final = {"failed": "red", "succeeded": "green"}


def run_retrain(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|status",
            help="The model to train again; status shows how retrainings stand.",
            autocompletion=complete_model,
        ),
    ],
    server: ServerOptions,
    *,
    reason: Reason = "",
    as_json: Json = False,
) -> int:
    """Start the retraining of a model as penstock.toml says, whatever its period; or show all.

    A start needs --reason.
    """
    client = find_server(server)
    if model == _STATUS and not reason:
        found = client.get("/admin/retrain")
    elif not reason:
        raise CommandFailed("--reason is missing, expected a text; it goes on record", Exit.USAGE)
    else:
        found = client.ask("POST", model_path(model, "/retrain"), said_by(reason))
    if as_json:
        show_json(found)
    elif "run" in found:
        print(f"{found['run']['id']}; penstock retrain status shows how it stands")
    else:
        show(retrain_view(found["models"]))
    return 0


def retrain_view(models: list[dict[str, Any]]) -> "RenderableType":
    """A table, and the reasons below it."""
    from rich.console import Group

    made = table("model", "target", "on", "last run", "phase", "began", "by", "made")
    notes = []
    for one in models:
        last = one["last"] or {}
        phase = last.get("phase", "")
        began = last.get("decided_at")
        made.add_row(
            plain(one["model"]),
            plain(one["target"]),
            ", ".join(one["on"]) or "by hand",
            plain(last.get("id", "")),
            f"[{_STYLES.get(phase, 'yellow')}]{phase}[/]" if phase else "",
            f"{datetime.fromtimestamp(began, UTC):%Y-%m-%d %H:%M:%S}" if began else "",
            plain(last.get("by", "")),
            f"version {last['result']}" if last.get("result") else "",
        )
        notes.append(f"{plain(one['model'])}: {plain(one['waits'])}")
        notes += [f"  {plain(text)}" for text in _about(last)]
    if not models:
        return "no model has a [[retrain]] in penstock.toml".replace("[", "\\[")
    return Group(made, *notes)


def _about(last: dict[str, Any]) -> list[str]:
    if not last:
        return []
    data = last["data"]
    found = [f"began for {last['trigger']}: {last['reason']}"]
    if data["uri"]:
        found.append(f"{data['rows']} labelled predictions in {data['uri']}")
    found += [text for text in (data["note"], last["problem"]) if text]
    return found
