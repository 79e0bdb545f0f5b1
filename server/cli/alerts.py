"""``penstock alerts``: what is wrong, who was told; and a test of a sink."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote, urlencode

import typer

from .arguments import Json
from .client import AdminClient, ServerOptions, find_server
from .completion import complete_model
from .exits import Exit
from .inherited import hand_on
from .output import show, show_json, table

if TYPE_CHECKING:
    from rich.console import RenderableType

#: How long a test is watched; an attempt that goes on is left to the server.
_WATCH_SECONDS: Final = 20.0
_CHECK_SECONDS: Final = 0.25
_STYLES: Final = {"critical": "red", "warning": "yellow", "delivered": "green", "failed": "red"}


def run_alerts(
    ctx: typer.Context,
    server: ServerOptions,
    *,
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="Only of this model.",
            show_default=False,
            autocompletion=complete_model,
        ),
    ] = "",
    only_open: Annotated[bool, typer.Option("--open", help="Only what is not over.")] = False,
    limit: Annotated[int, typer.Option(metavar="N", help="At most so many.")] = 50,
    as_json: Json = False,
) -> int:
    """Show alerts, newest first: what is wrong, since when, and who was told."""
    if ctx.invoked_subcommand is not None:
        hand_on(ctx, ctx.invoked_subcommand)
        return 0
    query = {"limit": limit, "model": model} | ({"open": "true"} if only_open else {})
    found = find_server(server).get("/admin/alerts?" + urlencode(query))
    if as_json:
        show_json(found)
    else:
        show(alerts_view(found))
    return 0


def run_test(
    sink: Annotated[str, typer.Argument(metavar="SINK", help="Its name in the alerts file.")],
    server: ServerOptions,
    *,
    as_json: Json = False,
) -> int:
    """Send a test alert to one sink, and wait for the result."""
    client = find_server(server)
    asked = client.ask("POST", f"/admin/alerts/test/{quote(sink, safe='')}")
    delivery = _watch(client, asked["episode"], sink)
    if as_json:
        show_json({"sink": sink, "episode": asked["episode"], "delivery": delivery})
    elif delivery is None:
        print(f"{sink}: not attempted yet; does the monitor run? see penstock status")
    else:
        print(f"{sink}: {delivery['status']}: {delivery['detail'] or 'no answer'}")
    done = delivery is not None and delivery["status"] == "delivered"
    return Exit.DONE if done else Exit.FAILED


def alerts_view(found: dict[str, Any]) -> "RenderableType":
    """A table, or one line when there is nothing."""
    from rich.text import Text

    if not found["alerts"]:
        return Text(f"no alerts; told would be: {', '.join(found['sinks'])}")
    made = table("time (UTC)", "alert", "severity", "summary", "told")
    for one in found["alerts"]:
        when = datetime.fromtimestamp(one["time"], UTC)
        told = Text(", ").join(_told(sent) for sent in one["deliveries"])
        made.add_row(
            f"{when:%Y-%m-%d %H:%M:%S}",
            one["name"] + (" (open)" if one["open"] else ""),
            Text(one["severity"], _STYLES.get(one["severity"], "")),
            Text(one["summary"]),
            told,
        )
    return made


def _told(sent: dict[str, Any]) -> Any:
    from rich.text import Text

    words = f"{sent['sink']} {sent['status']}"
    if sent["status"] == "muted":
        words = f"{sent['sink']} {sent['detail']}"
    elif sent["status"] not in {"delivered", "skipped"} and sent["detail"]:
        words += f" ({sent['attempts']}x: {sent['detail']})"
    return Text(words, _STYLES.get(sent["status"], ""))


def _watch(client: AdminClient, episode: str, sink: str) -> dict[str, Any] | None:
    """The end of the delivery, or its state when the time is over."""
    until = time.monotonic() + _WATCH_SECONDS
    while True:
        found = client.get("/admin/alerts?limit=50")["alerts"]
        sent = [
            delivery
            for one in found
            if one["episode"] == episode
            for delivery in one["deliveries"]
            if delivery["sink"] == sink
        ]
        attempted: dict[str, Any] | None = sent[0] if sent and sent[0]["attempts"] else None
        if attempted is not None or time.monotonic() >= until:
            return attempted
        _pause(_CHECK_SECONDS)


def _pause(seconds: float) -> None:
    from threading import Event

    Event().wait(seconds)
