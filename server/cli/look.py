"""``penstock status | history``: the versions that run, who set them and when; and earlier ones."""

from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlencode

import typer

from .arguments import Json, Model
from .client import AdminClient, ServerOptions, find_server, model_path
from .history_view import history_view, production_text
from .output import plain, show, show_json, table

if TYPE_CHECKING:
    from rich.console import RenderableType

_WATCH_SECONDS: Final = 1.0
_STYLES: Final = {"READY": "green", "LOADING": "yellow", "MIXED": "yellow", "FAILED": "red"}
_WATCH_STYLES: Final = {
    "drift": "red", "falling": "red", "warn": "yellow", "cannot tell": "yellow",
    "unknown": "yellow",
}  # fmt: skip


def run_status(
    server: ServerOptions,
    *,
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", help="Again every second.")] = False,
) -> int:
    """Show the versions: where they run, since when, who set them, drift and labels."""
    client = find_server(server)
    if watch:
        return _watch(client)
    found = client.get("/admin/status")
    if as_json:
        show_json(found)
    else:
        show(status_view(found))
    return 0


def run_history(
    model: Model,
    server: ServerOptions,
    *,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="What was in production then, ISO 8601."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Show the changes of a model, newest first, or the versions in production at a time."""
    query = "" if at is None else "?" + urlencode({"at": at})
    found = find_server(server).get(model_path(model, f"/history{query}"))
    if as_json:
        show_json(found)
    elif at is not None:
        print(production_text(found))
    else:
        show(history_view(found["records"]))
    return 0


def status_view(found: dict[str, Any]) -> "RenderableType":
    """The tables of the status."""
    from rich.console import Group

    converged = "converged" if found["converged"] else "[yellow]not converged[/]"
    headline = (
        f"{plain(found['registry'])}: {len(found['models'])} models, generation "
        f"{found['generation']}, target {found['target']['number']}, {converged}"
    )
    parts: list[RenderableType] = [
        headline,
        _versions_view(found["models"]),
        _monitored_view(found["models"]),
        _workers_view(found["workers"]),
    ]
    if found["log"] is not None:
        parts.append(_log_line(found["log"]))
    rollouts = [one["rollout"] for one in found["models"] if one["rollout"] is not None]
    if running := [one for one in rollouts if not one["final"]]:
        from .rollout_view import rollouts_view

        parts.append(rollouts_view(running))
    parts += [
        f"{plain(model['name'])}: retraining {plain(run['id'])} is {run['phase']}"
        for model in found["models"]
        if (run := (model.get("retraining") or {}).get("last"))
    ]
    parts += [
        _problem(f"{model['name']} version {one['version']} {one['state']}", why)
        for model in found["models"]
        for one in model["versions"]
        if (why := _why(one))
    ]
    parts += [
        f"{plain(model['name'])} version {one['version']}: {plain(note)}"
        for model in found["models"]
        for one in model["versions"]
        for note in _batching_notes(one.get("batching"))
    ]
    parts += [_problem(one["path"], one["reason"]) for one in found["problems"]]
    if found["state_note"]:
        parts.append(_problem("state is TEMPORARY", found["state_note"]))
    return Group(*parts)


def _batching_notes(batching: dict[str, Any] | None) -> list[str]:
    """The reasons why rows of a version do not share runs, and wrong declarations of its file."""
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
    return f"[red]![/] {plain(what)}: {plain(reason)}"


def _versions_view(models: list[dict[str, Any]]) -> "RenderableType":
    made = table(
        "model", "version", "state", "names", "since", "by", "req/s", "p50", "p99", "5xx", "memory"
    )
    for model in models:
        for one in model["versions"]:
            set_by = {} if not one["default"] else model["default_set"]
            for alias in one["aliases"]:
                set_by = set_by or model["aliases"][alias]
            traffic = one["traffic"] or {}
            state = one["state"]
            made.add_row(
                plain(model["name"]),
                str(one["version"]),
                f"[{_STYLES.get(state, 'dim')}]{state}[/]",
                plain(", ".join([*(["default"] if one["default"] else []), *one["aliases"]])),
                plain((set_by.get("since") or "")[:19]),
                plain(set_by.get("by") or ""),
                f"{traffic.get('requests_per_second', 0):.1f}",
                _milliseconds(traffic.get("p50_seconds")),
                _milliseconds(traffic.get("p99_seconds")),
                str(traffic.get("errors", 0)),
                memory_text(one["workers"]),
            )
    return made


def _monitored_view(models: list[dict[str, Any]]) -> "RenderableType":
    """Drift and labels of the versions that serve: those that answer, and those of rollouts."""
    made = table("model", "version", "drift", "labels")
    for model in models:
        rollout = model["rollout"] or {"final": True}
        candidate = None if rollout["final"] else rollout["candidate"]
        for one in model["versions"]:
            if one["default"] or one["version"] == candidate:
                told = [_watch_text(one[part]) for part in ("drift", "labels")]
                made.add_row(plain(model["name"]), str(one["version"]), *told)
    return made


def _watch_text(told: dict[str, Any]) -> str:
    style = _WATCH_STYLES.get(told["state"])
    words = plain(told["words"])
    return words if style is None else f"[{style}]{words}[/]"


def memory_text(workers: dict[str, dict[str, Any]]) -> str:
    """Memory that loading took, least to most over the workers, and the estimate."""
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
    """The reason of a state, and the workers in another state."""
    words: str = one["reason"]
    if one["state"] == "MIXED":
        differing = ", ".join(
            f"{name} {at['state']}" for name, at in sorted(one["workers"].items())
        )
        words = "; ".join(filter(None, (differing, words)))
    return words


def _workers_view(workers: list[dict[str, Any]]) -> "RenderableType":
    made = table("worker", "pid", "ready", "target", "memory")
    for one in workers:
        memory = one["resident_bytes"]
        made.add_row(
            one["process"],
            str(one["pid"]),
            "yes" if one["ready"] else "[yellow]no[/]",
            str(one["target"]),
            "" if memory is None else f"{memory / 2**20:.0f} MiB",
        )
    return made


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


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.2f} ms"
