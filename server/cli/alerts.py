"""``penstock alerts``: what is wrong, who was told; and a test of a sink."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from .client import CommandFailed, add_client_options, find_server

if TYPE_CHECKING:
    import argparse

    from rich.console import RenderableType

    from .client import AdminClient

_EXIT_FAILURE: Final = 1
_PIPE_COLUMNS: Final = 200
#: How long a test is watched; an attempt that goes on is left to the server.
_WATCH_SECONDS: Final = 20.0
_CHECK_SECONDS: Final = 0.25
_STYLES: Final = {"critical": "red", "warning": "yellow", "delivered": "green", "failed": "red"}


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "alerts",
        help="what is wrong, and who was told",
        description="What is wrong, since when, and who was told; newest first.",
    )
    parser.add_argument("--model", default="", metavar="MODEL", help="only of this model")
    parser.add_argument("--open", action="store_true", help="only what is not over")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="default: 50")
    parser.add_argument("--json", action="store_true", help="as the admin port says it")
    add_client_options(parser)
    parser.set_defaults(run=run_alerts)
    actions = parser.add_subparsers(title="commands", metavar="COMMAND")
    test = actions.add_parser("test", help="tell a sink of a test, the whole way")
    test.add_argument("sink", metavar="SINK", help="its name in the alerts file")
    add_client_options(test)
    test.set_defaults(run=run_test)


def run_alerts(namespace: argparse.Namespace) -> int:
    """Print the alerts; returns the exit status."""
    query = {"limit": namespace.limit, "model": namespace.model}
    if namespace.open:
        query["open"] = "true"
    try:
        found = find_server(namespace).get("/admin/alerts?" + urlencode(query))
    except CommandFailed as failure:
        return _fail(failure)
    if namespace.json:
        print(json.dumps(found, indent=2))
        return 0
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS).print(alerts_view(found))
    return 0


def run_test(namespace: argparse.Namespace) -> int:
    """Tell a sink of a test and wait for how it went; returns the exit status."""
    try:
        client = find_server(namespace)
        asked = client.ask("POST", f"/admin/alerts/test/{quote(namespace.sink, safe='')}")
        delivery = _watch(client, asked["episode"], namespace.sink)
    except CommandFailed as failure:
        return _fail(failure)
    if delivery is None:
        print(f"{namespace.sink}: not attempted yet; does the monitor run? see penstock status")
        return _EXIT_FAILURE
    print(f"{namespace.sink}: {delivery['status']}: {delivery['detail'] or 'no answer'}")
    return 0 if delivery["status"] == "delivered" else _EXIT_FAILURE


def alerts_view(found: dict[str, Any]) -> RenderableType:
    """A table, or one line when there is nothing."""
    from rich.table import Table
    from rich.text import Text

    if not found["alerts"]:
        return Text(f"no alerts; told would be: {', '.join(found['sinks'])}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("time (UTC)", "alert", "severity", "summary", "told"):
        table.add_column(title, overflow="fold")
    for one in found["alerts"]:
        when = datetime.fromtimestamp(one["time"], UTC)
        told = Text(", ").join(_told(sent) for sent in one["deliveries"])
        table.add_row(
            f"{when:%Y-%m-%d %H:%M:%S}",
            one["name"] + (" (open)" if one["open"] else ""),
            Text(one["severity"], _STYLES.get(one["severity"], "")),
            Text(one["summary"]),
            told,
        )
    return table


def _told(sent: dict[str, Any]) -> Any:
    from rich.text import Text

    words = f"{sent['sink']} {sent['status']}"
    if sent["status"] not in {"delivered", "skipped"} and sent["detail"]:
        words += f" ({sent['attempts']}x: {sent['detail']})"
    return Text(words, _STYLES.get(sent["status"], ""))


def _watch(client: AdminClient, episode: str, sink: str) -> dict[str, Any] | None:
    """How the delivery went: its end, or its state when the time is over."""
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


def _fail(failure: Exception) -> int:
    print(f"penstock: {failure}", file=sys.stderr)
    return _EXIT_FAILURE
