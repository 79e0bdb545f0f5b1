"""``penstock drift | baseline | monitor``: what has shifted, and what it is compared with."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from .client import CommandFailed, add_client_options, find_server
from .segments_view import drift_notes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from datetime import tzinfo

    from rich.console import RenderableType

    from penstock.monitoring.drift.baseline import Baseline

_EXIT_FAILURE: Final = 1
_PIPE_COLUMNS: Final = 200
_STYLES: Final = {"drift": "red", "warn": "yellow", "ok": "green"}
_BLOCKS: Final = "▁▂▃▄▅▆▇█"


def add_parser(verbs: Any) -> None:
    """Add the verbs."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "drift",
        help="how far inputs and outputs are from the baseline",
        description="How far inputs and outputs are from the baseline, in the last window.",
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--version", metavar="VERSION", help="only this one")
    parser.add_argument("--json", action="store_true", help="as the admin port says it")
    add_client_options(parser)
    parser.set_defaults(run=run_drift)
    _add_baseline(verbs)
    monitor = verbs.add_parser("monitor", help="reports", description="Reports.")
    actions = monitor.add_subparsers(title="commands", metavar="COMMAND", required=True)
    parser = actions.add_parser("report", help="one page with plots of everything that is watched")
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--version", metavar="VERSION", help="only this one")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", required=True)
    add_client_options(parser)
    parser.set_defaults(run=run_report)


def _add_baseline(verbs: Any) -> None:
    baseline = verbs.add_parser(
        "baseline",
        help="what a version is compared with",
        description="What a version is compared with.",
    )
    actions = baseline.add_subparsers(title="commands", metavar="COMMAND", required=True)
    parser: argparse.ArgumentParser = actions.add_parser(
        "build", help="from the training data", description="Make it from the training data."
    )
    _add_version(parser)
    parser.add_argument("file", type=Path, metavar="FILE", help=".csv with a heading, or .parquet")
    parser.add_argument(
        "--target", action="append", default=[], metavar="COLUMN", help="no input of the model"
    )
    parser.add_argument(
        "--in-order",
        action="store_true",
        help="rows are in the order of time: learn from them how much healthy data varies",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="only write it: baseline.json of a version"
    )
    parser.add_argument("--reason", default="", metavar="TEXT", help="on record")
    add_client_options(parser)
    parser.set_defaults(run=run_build)
    parser = actions.add_parser("forget", help="learn it anew from the next live rows")
    _add_version(parser)
    parser.add_argument("--reason", default="", metavar="TEXT", help="on record")
    add_client_options(parser)
    parser.set_defaults(run=run_forget)


def _add_version(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("version", type=int, metavar="VERSION")


def run_drift(namespace: argparse.Namespace) -> int:
    """Print what has shifted; returns the exit status."""
    path = _model(namespace.model) + "/drift" + _query(version=namespace.version)
    try:
        found = find_server(namespace).get(path)
    except CommandFailed as failure:
        return _fail(failure)
    if namespace.json:
        print(json.dumps(found, indent=2))
    else:
        from rich.console import Console

        Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS).print(drift_view(found))
    return 0


def run_report(namespace: argparse.Namespace) -> int:
    """Write the report; returns the exit status."""
    path = _model(namespace.model) + "/drift/report" + _query(version=namespace.version)
    try:
        namespace.output.write_bytes(find_server(namespace).fetch(path))
    except (CommandFailed, OSError) as failure:
        return _fail(failure)
    print(namespace.output)
    return 0


def run_build(
    namespace: argparse.Namespace, now: Callable[[tzinfo], datetime] = datetime.now
) -> int:
    """Make a baseline and hand it over; returns the exit status."""
    from penstock.monitoring.drift.baseline import encode
    from penstock.monitoring.drift.baseline_building import BadData, build_baseline
    from penstock.monitoring.drift.baseline_files import write_baseline

    made = now(UTC).isoformat(timespec="seconds")
    try:
        baseline = build_baseline(
            namespace.file, made, leave_out=namespace.target, in_order=namespace.in_order
        )
        if namespace.output is not None:
            write_baseline(namespace.output, baseline)
            print(f"{namespace.output}: {_described(baseline)}")
            return 0
        path = f"{_model(namespace.model)}/versions/{namespace.version}/baseline"
        content = json.loads(encode(baseline))
        server = find_server(namespace)
        answer = server.ask("PUT", path + _query(reason=namespace.reason), content)
    except (BadData, CommandFailed, OSError) as failure:
        return _fail(failure)
    described = _described(baseline, answer["baseline"])
    print(f"{namespace.model} version {namespace.version}: {described}")
    if answer["left_out"]:
        print(f"left out, as model.toml says under [log]: {', '.join(answer['left_out'])}")
    return 0


def run_forget(namespace: argparse.Namespace) -> int:
    """Have the baseline learnt anew; returns the exit status."""
    path = f"{_model(namespace.model)}/versions/{namespace.version}/baseline"
    try:
        find_server(namespace).ask("DELETE", path, {"reason": namespace.reason})
    except CommandFailed as failure:
        return _fail(failure)
    print(f"{namespace.model} version {namespace.version}: the next live rows are the baseline")
    return 0


def drift_view(found: dict[str, Any]) -> RenderableType:
    """The tables of all versions."""
    from rich.console import Group
    from rich.markup import escape

    parts: list[RenderableType] = []
    if found["problem"]:
        parts.append(f"[red]![/] {escape(found['problem'])}")
    if not found["versions"]:
        return Group(*parts, f"{escape(found['model'])}: nothing was looked at yet")
    for entry, *others in _by_version(found["versions"]):
        parts += [_headline(found["model"], entry), *_notes(entry)]
        if entry["features"]:
            parts.append(_features_view(entry["features"]))
        parts += [f"  also {_headline('', one).lstrip()}" for one in others]
    return Group(*parts)


def _by_version(entries: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The entries of each version together, its latest arm first: one block for each version."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        groups.setdefault(entry["version"], []).append(entry)
    return [sorted(group, key=_latest, reverse=True) for group in groups.values()]


def _latest(entry: dict[str, Any]) -> float:
    """When rows of an entry were looked at last, Unix seconds; 0 if never."""
    return max((one["end"] for one in (entry["open"], entry["window"]) if one), default=0.0)


def _headline(model: str, entry: dict[str, Any]) -> str:
    from rich.markup import escape

    from penstock.server.drift.values_view import rate_words

    state = entry["state"]
    arm = f" ({entry['arm']})" if entry["arm"] else ""
    words = f"{escape(model)} version {entry['version']}{escape(arm)}: "
    words += f"[{_STYLES.get(state, 'dim')}]{state}[/], {entry['windows']} windows"
    if entry["window"] is not None:
        window = entry["window"]
        words += f", {window['rows']} rows in the last"
        if window["skipped"]:
            words += f" (of {window['rows'] + window['skipped']})"
    expected = entry["expected_false_alarms_per_week"]
    return words + f"; expected false alarms: {rate_words(expected)} a week"


def _notes(entry: dict[str, Any]) -> list[str]:
    from rich.markup import escape

    from penstock.server.drift.values_view import note_words

    notes = []
    if entry["problem"]:
        notes.append(f"[red]![/] {escape(entry['problem'])}")
    if entry["source"] == "traffic":
        notes.append("the baseline is the first live rows: changes are seen, training skew is not")
    if entry["learning"]:
        rows = max(entry["learning"].values())
        notes.append(f"learning {len(entry['learning'])} features: {rows} rows so far")
    notes += map(escape, drift_notes(entry["segments"]))
    notes += map(escape, note_words(entry["notes"]))
    if entry["open"] is not None:
        notes.append(f"open window: {entry['open']['rows']} rows")
    return notes


def _features_view(features: list[dict[str, Any]]) -> RenderableType:
    from rich.markup import escape
    from rich.table import Table

    from penstock.server.drift.report import seen
    from penstock.server.drift.values_view import faults_words, moved_words, rate_words

    table = Table(box=None, pad_edge=False)
    headings = (
        "feature", "", "state", "PSI", "p", "over time", "mean moved", "smallest seen", "unusual",
    )  # fmt: skip
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for one in sorted(features, key=lambda one: (one["state"] != "drift", -one["psi"])):
        state = one["state"]
        kind = "output" if one["output"] else "input"
        table.add_row(
            escape(one["words"]),
            "" if one["columns"] else kind,
            f"[{_STYLES.get(state, 'dim')}]{state}[/]",
            f"{max(0.0, one['psi']):.3f}",
            rate_words(one["p"]),
            sparkline(one["history"]),
            moved_words(one),
            seen(one),
            faults_words(one),
        )
    return table


def sparkline(values: list[float | None]) -> str:
    """PSI as blocks: the highest is 0.25 and more."""
    most = len(_BLOCKS) - 1
    return "".join(
        " " if value is None else _BLOCKS[max(0, min(most, round(value / 0.25 * most)))]
        for value in values
    )


def _described(baseline: Baseline, name: str = "") -> str:
    categories = sum(one.categorical for one in baseline.references.values())
    return (
        f"baseline {name or baseline.id}, {baseline.rows} rows, {len(baseline.references)} inputs "
        f"({categories} of them categories)"
    )


def _model(name: str) -> str:
    return f"/admin/models/{quote(name, safe='')}"


def _query(**values: str | None) -> str:
    given = {name: value for name, value in values.items() if value}
    return f"?{urlencode(given)}" if given else ""


def _fail(failure: Exception) -> int:
    print(f"penstock: {failure}", file=sys.stderr)
    return _EXIT_FAILURE
