"""``penstock alerts mute | unmute | mutes``: alerts that nobody is told of, until when and why."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from .arguments import Json, Model, OnlyVersion, Reason
from .client import ServerOptions, find_server
from .output import plain, show, show_json, table

if TYPE_CHECKING:
    from rich.table import Table


def run_mute(
    model: Model,
    server: ServerOptions,
    *,
    how_long: Annotated[
        str, typer.Option("--for", metavar="TIME", help="Such as 4h or 7d; at most 30d.")
    ],
    reason: Reason,
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="Of the alerts: drift, performance, quality.")
    ] = "drift",
    version: OnlyVersion = None,
    feature: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only this feature or field; for drift and quality."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Tell nobody of a model's alerts for a time.

    What is watched goes on. What is still open at the end is told then. Drift of several features
    at once is told unless all of them are muted.
    """
    asked = {"model": model, "kind": kind, "for": how_long, "reason": reason}
    if version is not None:
        asked["version"] = version
    if feature is not None:
        asked["feature"] = feature
    made = find_server(server).ask("POST", "/admin/mutes", asked)
    if as_json:
        show_json(made)
    else:
        what = f"{kind} of {feature}" if feature else kind
        print(f"{model}: nobody is told of {what} until {_time(made['until'])} UTC ({made['id']})")
    return 0


def run_unmute(
    mute: Annotated[str, typer.Argument(metavar="ID", help="As penstock alerts mutes has it.")],
    server: ServerOptions,
    *,
    reason: Reason = "",
    as_json: Json = False,
) -> int:
    """End a mute before its time."""
    path = f"/admin/mutes/{quote(mute, safe='')}"
    ended = find_server(server).ask("DELETE", path, {"reason": reason})
    if as_json:
        show_json(ended)
    else:
        print(f"{ended['model']}: alerts of {ended['kind']} are told again")
    return 0


def run_mutes(server: ServerOptions, *, as_json: Json = False) -> int:
    """Show the mutes: whose alerts are muted, until when and why."""
    found = find_server(server).get("/admin/mutes")
    if as_json:
        show_json(found)
    elif found["mutes"]:
        show(_view(found["mutes"]))
    else:
        print("nothing is muted")
    return 0


def _view(mutes: list[dict[str, Any]]) -> "Table":
    made = table("id", "model", "alerts", "feature", "version", "until (UTC)", "by", "reason")
    for one in mutes:
        version = one["version"] or "all"
        what = (one["model"], one["kind"], one["feature"] or "all", version)
        row = (*what, _time(one["until"]), one["by"], one["reason"])
        made.add_row(one["id"], *map(plain, row))
    return made


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
