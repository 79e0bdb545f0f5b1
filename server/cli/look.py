"""``penstock status | history``: the versions that run, who set them and when; and earlier ones."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from .client import AdminClient, CommandFailed, add_client_options, find_server
from .history_view import history_view, production_text

if TYPE_CHECKING:
    import argparse

    from rich.console import RenderableType
    from rich.table import Table

_EXIT_FAILURE: Final = 1
_WATCH_SECONDS: Final = 1.0
_PIPE_COLUMNS: Final = 240
_STYLES: Final = {"READY": "green", "LOADING": "yellow", "MIXED": "yellow", "FAILED": "red"}


def add_parser(verbs: Any) -> None:
    """Add the verbs."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "status", help="what runs where, since when, and who set it", description="What runs where."
    )
    parser.add_argument("--json", action="store_true", help="as the admin port says it")
    parser.add_argument("--watch", action="store_true", help="again every second")
    add_client_options(parser)
    parser.set_defaults(run=run_status)
    parser = verbs.add_parser(
        "history",
        help="what was done to a model, and what was in production when",
        description="What was done to a model, newest first.",
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--at", metavar="TIME", help="what was in production then, ISO 8601")
    parser.add_argument("--json", action="store_true", help="as the admin port says it")
    add_client_options(parser)
    parser.set_defaults(run=run_history)


def run_status(namespace: argparse.Namespace) -> int:
    """Print the status; returns the exit status."""
    try:
        client = find_server(namespace)
        if namespace.watch:
            return _watch(client)
        found = client.get("/admin/status")
    except CommandFailed as failure:
        return _fail(failure)
    if namespace.json:
        print(json.dumps(found, indent=2))
    else:
        _print(status_view(found))
    return 0


def run_history(namespace: argparse.Namespace) -> int:
    """Print the history; returns the exit status."""
    path = f"/admin/models/{quote(namespace.model, safe='')}/history"
    if namespace.at is not None:
        path += "?" + urlencode({"at": namespace.at})
    try:
        found = find_server(namespace).get(path)
    except CommandFailed as failure:
        return _fail(failure)
    if namespace.json:
        print(json.dumps(found, indent=2))
    elif namespace.at is not None:
        print(production_text(found))
    else:
        _print(history_view(found["records"]))
    return 0


def status_view(found: dict[str, Any]) -> RenderableType:
    """The tables of the status."""
    from rich.console import Group
    from rich.markup import escape

    converged = "converged" if found["converged"] else "[yellow]not converged[/]"
    headline = (
        f"{escape(found['registry'])}: {len(found['models'])} models, generation "
        f"{found['generation']}, target {found['target']['number']}, {converged}"
    )
    parts: list[RenderableType] = [
        headline,
        _versions_view(found["models"]),
        _workers_view(found["workers"]),
    ]
    if found["log"] is not None:
        parts.append(_log_line(found["log"]))
    rollouts = [one["rollout"] for one in found["models"] if one["rollout"] is not None]
    if running := [one for one in rollouts if not one["final"]]:
        from .rollout_view import rollouts_view

        parts.append(rollouts_view(running))
    parts += [
        _problem(f"{model['name']} version {one['version']} {one['state']}", why)
        for model in found["models"]
        for one in model["versions"]
        if (why := _why(one))
    ]
    parts += [
        f"{_plain(model['name'])} version {one['version']}: {_plain(note)}"
        for model in found["models"]
        for one in model["versions"]
        for note in _batching_notes(one.get("batching"))
    ]
    parts += [_problem(one["path"], one["reason"]) for one in found["problems"]]
    if found["state_note"]:
        parts.append(_problem("state is TEMPORARY", found["state_note"]))
    return Group(*parts)


def _batching_notes(batching: dict[str, Any] | None) -> list[str]:
    """Why rows of a version do not share runs, and what of it is not as its file declares."""
    if batching is None:
        return []
    off = [] if batching["on"] else [f"batching is off: {batching['reason']}"]
    return [*off, *batching["remarks"]]


def _log_line(log: dict[str, Any]) -> str:
    missed = log["rows_dropped"] + log["rows_lost"]
    line = f"log: {log['rows_written']} rows written, {missed} not, {log['bytes'] / 2**20:.1f} MiB"
    state = f"{log['lag_seconds']:.1f} s behind" if log["running"] else "[red]monitor is away[/]"
    return f"{line}, {state}"


def _problem(what: str, reason: str) -> str:
    return f"[red]![/] {_plain(what)}: {_plain(reason)}"


def _versions_view(models: list[dict[str, Any]]) -> RenderableType:
    table = _table(
        "model", "version", "state", "names", "since", "by", "req/s", "p50", "p99", "5xx", "memory"
    )
    for model in models:
        for one in model["versions"]:
            set_by = {} if not one["default"] else model["default_set"]
            for alias in one["aliases"]:
                set_by = set_by or model["aliases"][alias]
            traffic = one["traffic"] or {}
            state = one["state"]
            table.add_row(
                _plain(model["name"]),
                str(one["version"]),
                f"[{_STYLES.get(state, 'dim')}]{state}[/]",
                _plain(", ".join([*(["default"] if one["default"] else []), *one["aliases"]])),
                _plain((set_by.get("since") or "")[:19]),
                _plain(set_by.get("by") or ""),
                f"{traffic.get('requests_per_second', 0):.1f}",
                _milliseconds(traffic.get("p50_seconds")),
                _milliseconds(traffic.get("p99_seconds")),
                str(traffic.get("errors", 0)),
                memory_text(one["workers"]),
            )
    return table


def memory_text(workers: dict[str, dict[str, Any]]) -> str:
    """What loading took, least to most over the workers, and what was expected of it."""
    told = [one["memory"] for _, one in sorted(workers.items()) if one["memory"] is not None]
    if not told:
        return ""
    sizes = [f"{one['measured_bytes'] / 2**20:.1f}" for one in told]
    most = max(one["estimated_bytes"] for one in told) / 2**20
    range_ = (
        sizes[0] if len(set(sizes)) == 1 else f"{min(sizes, key=float)}-{max(sizes, key=float)}"
    )
    return f"{range_} of {most:.1f} MiB"


def _why(one: dict[str, Any]) -> str:
    """Reason of a state, and who differs."""
    words: str = one["reason"]
    if one["state"] == "MIXED":
        differing = ", ".join(
            f"{name} {at['state']}" for name, at in sorted(one["workers"].items())
        )
        words = "; ".join(filter(None, (differing, words)))
    return words


def _workers_view(workers: list[dict[str, Any]]) -> RenderableType:
    table = _table("worker", "pid", "ready", "target", "memory")
    for one in workers:
        memory = one["resident_bytes"]
        table.add_row(
            one["process"],
            str(one["pid"]),
            "yes" if one["ready"] else "[yellow]no[/]",
            str(one["target"]),
            "" if memory is None else f"{memory / 2**20:.0f} MiB",
        )
    return table


def _watch(client: AdminClient) -> int:
    import threading

    from rich.live import Live

    never = threading.Event()
    with Live(status_view(client.get("/admin/status")), auto_refresh=False, screen=True) as live:
        try:
            while not never.wait(_WATCH_SECONDS):
                live.update(status_view(client.get("/admin/status")), refresh=True)
        except KeyboardInterrupt:
            pass
    return 0


def _print(view: RenderableType) -> None:
    """To a terminal as wide as it is; to a file or a pipe in whole lines."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS).print(view)


def _table(*headings: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.2f} ms"


def _fail(failure: Exception) -> int:
    print(f"penstock: {failure}", file=sys.stderr)
    return _EXIT_FAILURE
