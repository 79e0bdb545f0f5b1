"""The drift summaries of all versions in memory, told by the store of each write."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgpack

from penstock.monitoring.databases import content
from penstock.monitoring.drift.reading import open_windows
from penstock.monitoring.drift.states import (
    CALIBRATING,
    DRIFT,
    PROVISIONAL,
    TOO_LITTLE,
    state_now,
)
from penstock.monitoring.drift.store import Key

from .summary import DriftSummary, combined, known_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from penstock.monitoring.drift.options import DriftOptions
    from penstock.monitoring.drift.store import ClosedWindow

#: Versions and arms that have a summary.
MOST: Final = 1024
_LAST: Final = (
    "SELECT model, version, arm, baseline, state, rows, end, findings FROM windows WHERE id IN"
    " (SELECT MAX(id) FROM windows WHERE span = 'window' {} GROUP BY model, version, arm)"
    " ORDER BY end DESC LIMIT ?"
)
_JUDGED: Final = f"AND state != '{TOO_LITTLE}'"
_SPANS: Final = (
    "SELECT model, version, baseline, MIN(start), MAX(end), COUNT(*) FROM windows"  # noqa: S608  constant
    f" WHERE span = 'window' {_JUDGED} GROUP BY 1, 2, 3 ORDER BY 5"
)
_STATES: Final = "SELECT model, version, arm, state FROM watches ORDER BY rowid DESC LIMIT ?"


class DriftSummaries:
    """The summaries of all versions and arms. One thread.

    Args:
        options: Drift options of a model.

    Attributes:
        changes: Number of changes so far.
    """

    def __init__(self, options: Callable[[str], DriftOptions]) -> None:
        self._options = options
        self._found: dict[Key, DriftSummary] = {}
        self._last: dict[Key, tuple[str, str, int, float]] = {}
        self._judged: dict[Key, tuple[str, DriftSummary]] = {}
        self._spans: dict[tuple[str, str, str], tuple[float, float, int]] = {}
        self._learning: set[tuple[str, str]] = set()
        self.changes = 0

    def load(self, path: Path) -> None:
        """Begin anew with what is on the disk.

        Args:
            path: Path of ``windows.db``.

        Raises:
            sqlite3.Error: The file cannot be read.
        """
        for known in (self._found, self._last, self._judged, self._spans, self._learning):
            known.clear()
        self.changes += 1
        database = open_windows(path)
        if database is None:
            return
        with closing(database), content():
            last, judged = _LAST.format(""), _LAST.format(_JUDGED)
            for *key, baseline, state, rows, end, _ in database.execute(last, (MOST,)):
                _put(self._last, Key(*key), (baseline, state, rows, end))
            for *key, baseline, state, _, _, found in database.execute(judged, (MOST,)):
                named = DriftSummary(state).named(msgpack.unpackb(found))
                _put(self._judged, Key(*key), (baseline, named))
            for model, version, baseline, first, last, count in database.execute(_SPANS):
                _put(self._spans, (model, version, baseline), (first, last, count))
            self._learning |= set(database.execute("SELECT model, version FROM learners"))
            for *key, state in reversed(database.execute(_STATES, (MOST,)).fetchall()):
                self.saved(Key(*key), msgpack.unpackb(state))

    def closed(self, window: ClosedWindow, drift_state: Mapping[str, Any]) -> None:
        """A window was closed.

        Args:
            window: The window.
            drift_state: What goes on after it, as `DriftState.to_dict` gives it.
        """
        key, baseline, counts = window.key, window.baseline, window.window
        _put(self._last, key, (baseline, window.state, counts.rows, counts.end))
        if window.state != TOO_LITTLE:
            named = DriftSummary(window.state).named(window.findings)
            _put(self._judged, key, (baseline, named))
            span = *key[:2], baseline
            first, last, count = self._spans.get(span, (counts.start, 0.0, 0))
            _put(self._spans, span, (first, max(last, counts.end), count + 1))
        self.saved(key, drift_state)

    def saved(self, key: Key, drift_state: Mapping[str, Any]) -> None:
        """A state was written, as `DriftState.to_dict` gives it."""
        self.changes += 1
        made = self._made(key, drift_state)
        if made is None:
            self._found.pop(key, None)
        else:
            _put(self._found, key, made)

    def learnt(self, model: str, version: str, *, more: bool) -> None:
        """What is learnt of a version was written; `more` tells whether it goes on."""
        pair = model, version
        if more is not (pair in self._learning):
            self.changes += 1
            (self._learning.add if more else self._learning.discard)(pair)

    def by_version(self) -> dict[tuple[str, str], DriftSummary]:
        """The summary of each model and version that was looked at."""
        arms: dict[tuple[str, str], list[DriftSummary]] = {}
        for key, one in self._found.items():
            arms.setdefault(key[:2], []).append(one)
        found = {pair: combined(ones) for pair, ones in arms.items()}
        learning = {pair: DriftSummary() for pair in self._learning}
        return learning | {pair: one for pair, one in found.items() if one is not None}

    def _made(self, key: Key, drift_state: Mapping[str, Any]) -> DriftSummary | None:
        """The summary of an arm; ``None`` if it has ended while it drifted."""
        baseline, window = drift_state["baseline"], drift_state["window"]
        _, state, rows, end = self._of(self._last.get(key), baseline) or ("", "", 0, 0.0)
        _, judged = self._of(self._judged.get(key), baseline) or ("", DriftSummary(""))
        options = self._options(key.model)
        state = state_now(state, baseline, learning=key[:2] in self._learning)
        if any(one["open"] for one in drift_state["episodes"].values()):
            state = DRIFT  # also after a window with too few rows
        elif state == DRIFT:
            return None
        span = self._spans.get((*key[:2], baseline))
        if span is None and window is not None:
            span = window["start"], window["start"], 0
        calibrating = state in {CALIBRATING, PROVISIONAL} and span is not None
        segments = drift_state.get("segments", {}).get("last", {}).get("segments", ())
        return replace(
            judged if judged.state == state else DriftSummary(state),
            segments=sum(one["state"] == DRIFT for one in segments),
            until=known_at(*span, options) if calibrating and span is not None else 0.0,
            rows=rows,
            min_rows=options.min_rows,
            last=end if window is None else window["end"],
            problem=drift_state["problem"],
        )

    @staticmethod
    def _of(known: Any, baseline: str) -> Any:
        return known if known is not None and known[0] == baseline else None


def _put(found: dict[Any, Any], key: object, value: object) -> None:
    """Keep a value as the latest of at most `MOST`."""
    found.pop(key, None)
    found[key] = value
    if len(found) > MOST:
        del found[next(iter(found))]
