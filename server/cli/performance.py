"""``penstock feedback | performance``: hand labels over, and see what they say."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from .client import CommandFailed, add_client_options, find_server, given_token

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from rich.console import RenderableType

_EXIT_FAILURE: Final = 1
_PIPE_COLUMNS: Final = 200
#: Labels in one request to the server.
_CHUNK: Final = 5000
_TRIES: Final = 20
_TIMEOUT_SECONDS: Final = 30.0
DEFAULT_URL: Final = "http://127.0.0.1:8000"


def add_parser(verbs: Any) -> None:
    """Add the verbs."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "feedback",
        help="hand over what turned out to be true of predictions",
        description="Hand over labels. Those that were handed over before are counted once.",
    )
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help=".csv with a heading or .jsonl: request_id, label, and index, label_time, source",
    )
    parser.add_argument("--url", default=DEFAULT_URL, metavar="URL", help="of the prediction port")
    parser.add_argument(
        "--token", metavar="TOKEN", help="if the server asks for one; default: PENSTOCK_TOKEN"
    )
    parser.set_defaults(run=run_feedback)
    parser = verbs.add_parser(
        "performance",
        help="how good the versions of a model have been, by their labels",
        description="How good the versions of a model have been, by their labels.",
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--since", default="7d", metavar="TIME", help="how far back; 7d by default")
    parser.add_argument("--window", default="24h", metavar="TIME", help="of figures over time")
    parser.add_argument("--version", metavar="VERSION", help="only this one")
    parser.add_argument("--json", action="store_true", help="as the admin port says it")
    add_client_options(parser)
    parser.set_defaults(run=run_performance)


def run_feedback(namespace: argparse.Namespace) -> int:
    """Hand the labels of a file over; returns the exit status."""
    totals: dict[str, int] = {}
    done = 0
    token = given_token(namespace)
    try:
        for chunk in _chunks(namespace.file):
            for name, count in _post(namespace.url, chunk, done, token).items():
                totals[name] = totals.get(name, 0) + count
            done += len(chunk)
    except (CommandFailed, OSError, ValueError) as failure:
        print(f"penstock: {failure}; {done} labels before it were accepted", file=sys.stderr)
        return _EXIT_FAILURE
    print(", ".join(f"{count} {name}" for name, count in totals.items()) or "no labels")
    return 0


def run_performance(namespace: argparse.Namespace) -> int:
    """Print the figures; returns the exit status."""
    asked = {"since": namespace.since, "window": namespace.window, "version": namespace.version}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    path = f"/admin/models/{quote(namespace.model, safe='')}/performance?{query}"
    try:
        found = find_server(namespace).get(path)
    except CommandFailed as failure:
        print(f"penstock: {failure}", file=sys.stderr)
        return _EXIT_FAILURE
    if namespace.json:
        print(json.dumps(found, indent=2))
        return 0
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS).print(performance_view(found))
    return 0


def performance_view(found: dict[str, Any]) -> RenderableType:
    """The tables."""
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    headings = ("version", "arm", "predictions", "labels", "coverage", "figure", "value", "95 %")
    for heading in headings:
        table.add_column(heading)
    notes: list[str] = []
    for one in found["versions"]:
        coverage = "" if one["coverage"] is None else f"{one['coverage']:.1%}"
        first = [one["version"], one["arm"], str(one["predictions"]), str(one["labels"]), coverage]
        for name, figure in one["figures"].items() or {"": None}.items():
            told = [""] * 3 if figure is None else [name, *_figure(figure)]
            table.add_row(*(escape(cell) for cell in (*first, *told)))
            first = [""] * len(first)
        notes += _notes(one)
    if not found["versions"]:
        notes.append(f"nothing is known of {found['model']} in this time")
    received = ", ".join(f"{count} {name}" for name, count in found["feedback"].items())
    return Group(table, *map(escape, notes), f"labels of all models: {received or 'none'}")


def _figure(figure: dict[str, float]) -> list[str]:
    interval = f"{figure['low']:.4f} to {figure['high']:.4f}"
    return [f"{figure['value']:.4f}", interval if figure["high"] > figure["low"] else ""]


def _notes(one: dict[str, Any]) -> Iterator[str]:
    where = f"version {one['version']}" + (f" {one['arm']}" if one["arm"] else "")
    if one["estimated"] is not None:
        estimated = one["estimated"]
        yield f"{where}: accuracy {estimated['accuracy']:.4f} is {estimated['assumption']}"
    change = one["change"]
    if change is None or change["threshold"] is None:
        return
    told = f"{where}: {change['state']}, {change['labels']} labels"
    if change["state"] == "learning":
        yield f"{told} of the reference"
        return
    yield (
        f"{told}; reference {change['reference_rate']:.4f} bad, evidence of a change "
        f"{change['evidence']:.3g} of {change['threshold']:.3g}; a false alarm in 30 days with "
        f"{change['false_alarms_per_month']:.0%} probability at most"
    )


def _chunks(path: Path) -> Iterator[list[dict[str, Any]]]:
    """The labels of a file, some thousands at a time.

    Raises:
        CommandFailed: A line is no label.
    """
    chunk: list[dict[str, Any]] = []
    with path.open(newline="", encoding="utf-8") as file:
        for label in _csv(file) if path.suffix.lower() == ".csv" else _lines(file):
            chunk.append(label)
            if len(chunk) == _CHUNK:
                yield chunk
                chunk = []
    if chunk:
        yield chunk


def _csv(file: Any) -> Iterator[dict[str, Any]]:
    for row in csv.DictReader(file):
        label: dict[str, Any] = {key: value for key, value in row.items() if value}
        for key in ("label", "index", "label_time"):
            if key in label:
                label[key] = _number(label[key])
        yield label


def _lines(file: Any) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except ValueError:
            raise CommandFailed(f"line {number} is not JSON") from None


def _number(text: str) -> Any:
    """A number if it is one, as CSV does not say."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _post(url: str, chunk: list[dict[str, Any]], done: int, token: str) -> dict[str, int]:
    """Hand labels over, again while the server says "not now".

    Raises:
        CommandFailed: The server says no.
    """
    import threading
    import urllib.error
    import urllib.request

    body = json.dumps(chunk).encode()
    pause = threading.Event()
    for _ in range(_TRIES):
        request = urllib.request.Request(f"{url.rstrip('/')}/v1/feedback", body)  # noqa: S310  the user's own
        request.add_header("content-type", "application/json")
        if token:
            request.add_header("authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  the same
                found: dict[str, int] = json.loads(answer.read())
                return found
        except urllib.error.HTTPError as error:
            wait = error.headers.get("retry-after")
            if wait is None:
                said = json.loads(error.read() or b"{}").get("error", error.reason)
                raise CommandFailed(f"after {done} labels: {said}") from None
            pause.wait(float(wait))
        except urllib.error.URLError as error:
            raise CommandFailed(f"{url} cannot be reached: {error.reason}") from None
    raise CommandFailed(f"the server cannot keep labels now, after {done} of them")
