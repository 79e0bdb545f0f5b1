"""``penstock drift | monitor report``: inputs and outputs that have shifted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlencode

import typer

from .arguments import Json, Model, OnlyVersion
from .client import ServerOptions, find_server, model_path
from .command_failed import CommandFailed
from .output import plain, show, show_json, table
from .segments_view import drift_notes

if TYPE_CHECKING:
    from rich.console import RenderableType

_STYLES: Final = {"drift": "red", "warn": "yellow", "ok": "green"}
_BLOCKS: Final = "▁▂▃▄▅▆▇█"


def run_drift(
    model: Model, server: ServerOptions, *, version: OnlyVersion = None, as_json: Json = False
) -> int:
    """How far inputs and outputs are from the baseline, in the last window."""
    found = find_server(server).get(model_path(model, f"/drift{_query(version)}"))
    if as_json:
        show_json(found)
    else:
        show(drift_view(found))
    return 0


def run_report(
    model: Model,
    server: ServerOptions,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page.")],
    version: OnlyVersion = None,
    as_json: Json = False,
) -> int:
    """Write one page with plots of everything that is watched."""
    page = find_server(server).fetch(model_path(model, f"/drift/report{_query(version)}"))
    try:
        output.write_bytes(page)
    except OSError as error:
        raise CommandFailed(f"{output} cannot be written: {error.strerror or error}") from None
    if as_json:
        show_json({"output": str(output), "bytes": len(page)})
    else:
        print(output)
    return 0


def _query(version: str | None) -> str:
    return f"?{urlencode({'version': version})}" if version else ""


def drift_view(found: dict[str, Any]) -> "RenderableType":
    """The tables of all versions."""
    from rich.console import Group

    parts: list[RenderableType] = []
    if found["problem"]:
        parts.append(f"[red]![/] {plain(found['problem'])}")
    if not found["versions"]:
        return Group(*parts, f"{plain(found['model'])}: nothing was looked at yet")
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

    from penstock.server.drift.values_view import false_alarm_words

    state = entry["state"]
    arm = f" ({entry['arm']})" if entry["arm"] else ""
    words = f"{plain(model)} version {entry['version']}{plain(arm)}: "
    words += f"[{_STYLES.get(state, 'dim')}]{state}[/], {entry['windows']} windows"
    if entry["window"] is not None:
        window = entry["window"]
        words += f", {window['rows']} rows in the last"
        if window["skipped"]:
            words += f" (of {window['rows'] + window['skipped']})"
    return words + f"; expected false alarms: {' '.join(false_alarm_words(entry))}"


def _notes(entry: dict[str, Any]) -> list[str]:

    from penstock.server.drift.values_view import note_words

    notes = []
    if entry["problem"]:
        notes.append(f"[red]![/] {plain(entry['problem'])}")
    if entry["source"] == "traffic":
        notes.append("the baseline is the first live rows: changes are seen, training skew is not")
    if entry["learning"]:
        rows = max(entry["learning"].values())
        notes.append(f"learning {len(entry['learning'])} features: {rows} rows so far")
    notes += map(plain, drift_notes(entry["segments"]))
    notes += map(plain, note_words(entry["notes"]))
    if entry["open"] is not None:
        notes.append(f"open window: {entry['open']['rows']} rows")
    return notes


def _features_view(features: list[dict[str, Any]]) -> "RenderableType":
    from penstock.server.drift.report import seen
    from penstock.server.drift.values_view import faults_words, moved_words, rate_words

    made = table(
        "feature", "", "state", "PSI", "p", "over time", "mean moved", "smallest seen", "unusual",
    )  # fmt: skip
    for one in sorted(features, key=lambda one: (one["state"] != "drift", -one["psi"])):
        state = one["state"]
        kind = "output" if one["output"] else "input"
        made.add_row(
            plain(one["words"]),
            "" if one["columns"] else kind,
            f"[{_STYLES.get(state, 'dim')}]{state}[/]",
            f"{max(0.0, one['psi']):.3f}",
            rate_words(one["p"]),
            sparkline(one["history"]),
            moved_words(one),
            seen(one),
            faults_words(one),
        )
    return made


def sparkline(values: list[float | None]) -> str:
    """PSI as blocks: the highest is 0.25 and more."""
    most = len(_BLOCKS) - 1
    return "".join(
        " " if value is None else _BLOCKS[max(0, min(most, round(value / 0.25 * most)))]
        for value in values
    )
