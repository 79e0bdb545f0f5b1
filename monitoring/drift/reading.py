"""The findings about a model, for the command line, the admin port and the report."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import msgpack

from penstock.monitoring.databases import content

from .incident import words_of
from .states import DRIFT, STATES, state_now, stated_rate, unknown_of
from .store import read_windows

if TYPE_CHECKING:
    from pathlib import Path

    from .store import ClosedWindow

#: Windows that a sparkline shows.
RECENT: Final = 24
#: Windows of each arm among which those of an episode are looked for.
_MOST_OF_EPISODE: Final = 200
_BUSY_SECONDS: Final = 2.0
_FIGURES: Final = (
    "psi", "p", "state", "level", "since", "moved", "divergence", "shift", "rows", "dispersion",
    "detectable", "output", "categorical", "faults", "columns", "correlations", "others",
)  # fmt: skip


def open_windows(path: Path) -> sqlite3.Connection | None:
    """The file, for reading; ``None`` if there is none yet."""
    if not path.is_file():
        return None
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_BUSY_SECONDS)


def drift_of(path: Path, model: str, version: str | None = None) -> list[dict[str, Any]]:
    """The drift state of each version of a model in each arm, for JSON.

    Args:
        path: Path of ``windows.db``.
        model: Name of the model.
        version: Only this one.

    Returns:
        Empty if nothing was watched yet.
    """
    database = open_windows(path)
    if database is None:
        return []
    with closing(database), content():
        closed: dict[tuple[str, str], list[ClosedWindow]] = {}
        for one in read_windows(database, model, version, RECENT):
            closed.setdefault((one.key.version, one.key.arm), []).append(one)
        drift_states = _states(database, model, version)
        learners = {
            found: msgpack.unpackb(state)
            for found, state in database.execute(
                "SELECT version, state FROM learners WHERE model = ?", (model,)
            )
            if version in {None, found}
        }
    pairs = {
        *closed,
        *drift_states,
        *((found, "") for found in learners if found not in _of(drift_states)),
    }
    return [
        _entry(found, arm, closed.get((found, arm), []), drift_states.get((found, arm)), learners)
        for found, arm in sorted(pairs, key=_order)
    ]


def _of(drift_states: dict[tuple[str, str], Any]) -> set[str]:
    return {version for version, _ in drift_states}


def _order(pair: tuple[str, str]) -> tuple[int, str, str]:
    version, arm = pair
    return (int(version) if version.isdigit() else 0, version, arm)


def _states(
    database: sqlite3.Connection, model: str, version: str | None
) -> dict[tuple[str, str], dict[str, Any]]:
    rows = database.execute("SELECT version, arm, state FROM watches WHERE model = ?", (model,))
    return {
        (found, arm): msgpack.unpackb(state)
        for found, arm, state in rows
        if version in {None, found}
    }


def _entry(
    version: str,
    arm: str,
    closed: list[ClosedWindow],
    drift_state: dict[str, Any] | None,
    learners: dict[str, Any],
) -> dict[str, Any]:
    baseline = "" if drift_state is None else drift_state["baseline"]
    mine = [one for one in closed if one.baseline == baseline]
    judged = [one for one in mine if one.findings]
    last = judged[-1] if judged else None
    features = [] if last is None else [_feature(name, judged) for name in last.findings]
    known = {one["name"] for one in features}
    taught = {
        name: len(one["values"]) if one["categorical"] else len(one["values"]) // 8
        for name, one in learners.get(version, {}).items()
        if name not in known
    }
    last_state = mine[-1].state if mine else ""
    state = state_now(last_state, baseline, learning=bool(taught))
    opened = None if drift_state is None else drift_state["window"]
    return {
        "version": version,
        "arm": arm,
        "state": state,
        "baseline": baseline,
        "source": "" if drift_state is None else drift_state["source"],
        "problem": "" if drift_state is None else drift_state["problem"],
        "windows": 0 if drift_state is None else drift_state["closed"],
        "calibrated": bool(drift_state and drift_state["calibrated"]),
        "window": None if last is None else _span(last),
        "last_state": last_state,
        "open": None
        if opened is None
        else {key: opened[key] for key in ("start", "end", "rows", "skipped")},
        "expected_false_alarms_per_week": None
        if last is None or drift_state is None
        else stated_rate(drift_state["expected"], last.findings),
        "unknown": [] if last is None else list(unknown_of(last.findings)),
        "sketches": last is not None and bool(last.window.figures),
        "notes": {} if last is None else last.window.notes,
        "learning": taught,
        "segments": {} if drift_state is None else drift_state.get("segments", {}).get("last", {}),
        "features": features,
    }


def _span(one: ClosedWindow) -> dict[str, Any]:
    window = one.window
    return {
        "start": window.start,
        "end": window.end,
        "rows": window.rows,
        "skipped": window.skipped,
    }


def _feature(name: str, judged: list[ClosedWindow]) -> dict[str, Any]:
    last = judged[-1].findings[name]
    history = [one.findings[name]["psi"] if name in one.findings else None for one in judged]
    return {
        "name": name,
        "words": words_of(name, last.get("columns", ())),
        **{key: last.get(key, ()) for key in _FIGURES},
        **judged[-1].window.figures.get(name, {}),
        "history": history,
    }


def worst(entries: list[dict[str, Any]]) -> str:
    """The worst state of several versions; empty if there are none."""
    found = {one["state"] for one in entries}
    return next((state for state in STATES if state in found), "")


def judged_windows(
    path: Path, model: str, version: str, number: int | None, usual: int
) -> list[ClosedWindow]:
    """The last windows of a version that were compared with its baseline, oldest first.

    Args:
        path: Path of ``windows.db``.
        model: Name of the model.
        version: As the registry has it.
        number: So many; ``None`` takes those since its oldest open episode began.
        usual: So many if no episode is open.

    Returns:
        Windows of all arms, compared with the same baseline; empty if there are none.
    """
    database = open_windows(path)
    if database is None:
        return []
    with closing(database), content():
        closed = read_windows(database, model, version, number or _MOST_OF_EPISODE)
    judged = [one for one in closed if one.findings and one.span == "window"]
    judged = [one for one in judged if one.baseline == judged[-1].baseline]
    if number is not None:
        return judged[-number:]
    last = {one.key.arm: one for one in judged}
    began = [
        finding["since"]
        for one in last.values()
        for finding in one.findings.values()
        if finding["state"] == DRIFT
    ]
    if not began:
        return judged[-usual:]
    return [one for one in judged if one.window.end >= min(began)]


def windows_of(path: Path, model: str, version: str | None, most: int) -> list[dict[str, Any]]:
    """The last closed windows with their counts, oldest first, for the report.

    Args:
        path: Path of ``windows.db``.
        model: Name of the model.
        version: Only this one.
        most: How many of each version and arm.
    """
    database = open_windows(path)
    if database is None:
        return []
    with closing(database), content():
        return [
            {
                "version": one.key.version,
                "arm": one.key.arm,
                "baseline": one.baseline,
                "state": one.state,
                **_span(one),
                "counts": {name: counts.tolist() for name, counts in one.window.counts.items()},
                "moments": {name: asdict(found) for name, found in one.window.moments.items()},
                "findings": dict(one.findings),
                "figures": one.window.figures,
                "notes": one.window.notes,
            }
            for one in read_windows(database, model, version, most)
        ]
