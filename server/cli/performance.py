"""``penstock feedback | performance``: hand labels over, and see what they say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from .client import CommandFailed, add_client_options, find_server, given_token
from .label_file import LabelFile
from .segments_view import figure_words, segment_notes, segments_table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from rich.console import RenderableType

    from .label_file import FileRow

_EXIT_FAILURE: Final = 1
_PIPE_COLUMNS: Final = 200
#: Labels in one request to the server.
_CHUNK: Final = 5000
_CHUNK_BYTES: Final = 2 << 20
#: Lines that are told one by one.
_MOST_PROBLEMS: Final = 20
_MOST_NAMES: Final = 20
#: Some rows of the file were refused, the others are accepted.
EXIT_PARTIAL: Final = 3
_TRIES: Final = 20
_TIMEOUT_SECONDS: Final = 30.0
DEFAULT_URL: Final = "http://127.0.0.1:8000"


def add_parser(verbs: Any) -> None:
    """Add the verbs."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "feedback",
        help="hand over what turned out to be true of predictions",
        description=(
            "Hand over labels, row by row: what is no label is told with its line, and left out. "
            "Labels that were handed over before are counted once. Exit status: 0 if no row was "
            "refused (rows without a label yet are left out), 3 if some were, 1 if nothing was "
            "accepted or the server could not be reached."
        ),
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
    parser.add_argument(
        "--by", metavar="INPUT", help="figures by segment: one of segments in model.toml"
    )
    parser.add_argument("--json", action="store_true", help="as the admin port says it")
    add_client_options(parser)
    parser.set_defaults(run=run_performance)


def run_feedback(namespace: argparse.Namespace) -> int:
    """Hand the labels of a file over; returns the exit status."""
    handed = HandOver(namespace.url, given_token(namespace))
    file = LabelFile(namespace.file)
    try:
        for row in file.rows():
            handed.add(row)
        handed.send()
    except (CommandFailed, OSError) as failure:
        print(f"penstock: {failure}; {handed.sent} labels were accepted", file=sys.stderr)
        return _EXIT_FAILURE
    if file.ignored:
        names = ", ".join(sorted(file.ignored)[:_MOST_NAMES])
        print(f"penstock: ignored, as they say nothing of a label: {names}", file=sys.stderr)
    for line in handed.report():
        print(f"penstock: {line}", file=sys.stderr)
    totals = handed.totals
    print(", ".join(f"{count} {name}" for name, count in totals.items()) or "no labels")
    if not handed.refused:
        return 0
    return EXIT_PARTIAL if handed.sent else _EXIT_FAILURE


class HandOver:
    """Sends labels, some thousands at a time, and remembers what was wrong with which line.

    Args:
        url: URL of the prediction port.
        token: Token of the caller; may be empty.

    Attributes:
        totals: What became of labels, as the server says.
        sent: Labels that were accepted.
        refused: Rows that are no labels.
        blank: Rows that have no label yet.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self._waiting: list[FileRow] = []
        self._bytes = 0
        self._problems: list[tuple[int, str]] = []
        self.totals: dict[str, int] = {}
        self.sent = self.refused = self.blank = 0

    def add(self, row: FileRow) -> None:
        """Take a row; sends when there are enough.

        Raises:
            CommandFailed: The server says no.
        """
        if row.label is None:
            self.blank += not row.problem
            self._refuse(row.line, row.problem)
            return
        self._waiting.append(row)
        self._bytes += len(_body([row]))
        if len(self._waiting) == _CHUNK or self._bytes >= _CHUNK_BYTES:
            self.send()

    def send(self) -> None:
        """Send what waits.

        Raises:
            CommandFailed: The server says no.
        """
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if not waiting:
            return
        found = _post(self._url, _body(waiting), self._token)
        for problem in found.pop("problems", []):
            self._refuse(waiting[problem["item"]].line, problem["problem"])
        found.pop("refused", None)
        self.sent += found.get("accepted", 0)
        for name, count in found.items():
            self.totals[name] = self.totals.get(name, 0) + count

    def report(self) -> Iterator[str]:
        """What was left out, the first lines one by one; and what says nothing."""
        if self.blank:
            yield f"{self.blank} rows have no label yet and were left out"
        for line, problem in self._problems:
            yield f"line {line}: {problem}"
        if self.refused > len(self._problems):
            yield f"and {self.refused - len(self._problems)} lines more"
        if vain := self.totals.get("not_comparable", 0):
            yield (
                f"{vain} labels are no class of their model, or no number where it gives numbers; "
                "they count neither as right nor as wrong. See `penstock performance MODEL`"
            )

    def _refuse(self, line: int, problem: str) -> None:
        if problem:
            self.refused += 1
            if len(self._problems) < _MOST_PROBLEMS:
                self._problems.append((line, problem))


def run_performance(namespace: argparse.Namespace) -> int:
    """Print the figures; returns the exit status."""
    names = ("since", "window", "version", "by")
    asked = {name: getattr(namespace, name) for name in names}
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
            told = [""] * 3 if figure is None else [name, *figure_words(figure)]
            table.add_row(*(escape(cell) for cell in (*first, *told)))
            first = [""] * len(first)
        notes += _notes(one)
    if not found["versions"]:
        notes.append(f"nothing is known of {found['model']} in this time")
    received = ", ".join(f"{count} {name}" for name, count in found["feedback"].items())
    segments = segments_table(found)
    return Group(
        table, *segments, *map(escape, notes), f"labels of all models: {received or 'none'}"
    )


def _notes(one: dict[str, Any]) -> Iterator[str]:
    where = f"version {one['version']}" + (f" {one['arm']}" if one["arm"] else "")
    if one["estimated"] is not None:
        estimated = one["estimated"]
        yield f"{where}: accuracy {estimated['accuracy']:.4f} is {estimated['assumption']}"
    if one.get("not_comparable"):
        such = ", ".join(repr(label) for label in one["not_comparable_examples"])
        yield (
            f"{where}: {one['not_comparable']} labels are no class of the model, or no number "
            f"where it gives numbers, such as {such}; they count neither as right nor as wrong"
        )
    if one.get("never_predicted"):
        such = ", ".join(f"{name!r} ({n})" for name, n in one["never_predicted"].items())
        yield f"{where}: labels of classes that the version has never predicted: {such}"
    yield from segment_notes(one, where)
    change = one["change"]
    if change is None or change["threshold"] is None:
        return
    if change.get("cannot_tell"):
        yield f"{where}: labelling changed: cannot tell, because {change['cannot_tell']}"
    told = f"{where}: {change['state']}, {change['labels']} labels"
    if change["state"] == "learning":
        yield f"{told} of the reference"
        return
    yield (
        f"{told}; reference {change['reference_rate']:.4f} bad, evidence of a change "
        f"{change['evidence']:.3g} of {change['threshold']:.3g}; a false alarm in 30 days with "
        f"{change['false_alarms_per_month']:.0%} probability at most"
    )


def _body(rows: list[FileRow]) -> bytes:
    return json.dumps([row.label for row in rows], ensure_ascii=False).encode()


def _post(url: str, body: bytes, token: str) -> dict[str, Any]:
    """Hand labels over, again while the server says "not now".

    Raises:
        CommandFailed: The server says no.
    """
    import threading
    import urllib.error
    import urllib.request

    pause = threading.Event()
    for _ in range(_TRIES):
        request = urllib.request.Request(f"{url.rstrip('/')}/v1/feedback?partial=true", body)  # noqa: S310  the user's own
        request.add_header("content-type", "application/json")
        if token:
            request.add_header("authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  the same
                found: dict[str, Any] = json.loads(answer.read())
                return found
        except urllib.error.HTTPError as error:
            wait = error.headers.get("retry-after")
            if wait is None:
                said = json.loads(error.read() or b"{}").get("error", error.reason)
                raise CommandFailed(str(said)) from None
            pause.wait(float(wait))
        except urllib.error.URLError as error:
            raise CommandFailed(f"{url} cannot be reached: {error.reason}") from None
    raise CommandFailed("the server cannot keep labels now")
