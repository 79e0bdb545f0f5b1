"""The drift of one version in one arm in a few values, and in words. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.drift.incident import words_of
from penstock.monitoring.drift.states import (
    CALIBRATING,
    CHANGED,
    DRIFT,
    LEARNING,
    OK,
    PROVISIONAL,
    TOO_LITTLE,
    WARN,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from penstock.monitoring.drift.options import DriftOptions

#: Features that are named, and characters of a name.
MOST_NAMED: Final = 3
MOST_LETTERS: Final = 64
#: Words of the states that need no figures.
_PLAIN: Final = {OK: "stable", CALIBRATING: "calibrating", PROVISIONAL: "baseline is provisional"}
#: States in which features are named, and what is said before their names.
_NAMING: Final = {DRIFT: "changed", WARN: "flagged once", CHANGED: "changed a little"}


@dataclass(frozen=True, slots=True)
class DriftSummary:
    """The drift of one version in one arm.

    Attributes:
        state: One of `penstock.monitoring.drift.states.STATES`.
        features: Names of the features with this state, the largest change first; at most
            `MOST_NAMED`.
        others: Number of the further features with this state.
        segments: Number of segments that drift.
        since: Unix seconds at which the oldest open episode began; 0 without one.
        until: Unix seconds before which the variation of healthy windows is not known; 0 if it is
            known, or nobody can say.
        rows: Rows of the last closed window; 0 before the first.
        min_rows: A window with fewer rows says nothing.
        last: Unix seconds of the last row that was looked at; 0 before the first.
        problem: Why a baseline is not used; empty if none is left aside.
    """

    state: str = LEARNING
    features: tuple[str, ...] = ()
    others: int = 0
    segments: int = 0
    since: float = 0.0
    until: float = 0.0
    rows: int = 0
    min_rows: int = 0
    last: float = 0.0
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """The summary as JSON values."""
        return {**asdict(self), "features": list(self.features)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> DriftSummary:
        """The reverse of `to_json`."""
        return cls(**{**content, "features": tuple(content["features"])})

    def named(self, found: Mapping[str, Mapping[str, Any]]) -> DriftSummary:
        """The summary with the features that have its state.

        Args:
            found: Findings of the last judged window, by feature.
        """
        chosen = [(name, one) for name, one in found.items() if one["state"] == self.state]
        chosen.sort(key=lambda pair: -pair[1]["psi"])
        words = [words_of(name, one.get("columns", ()))[:MOST_LETTERS] for name, one in chosen]
        return replace(
            self,
            features=tuple(words[:MOST_NAMED]),
            others=len(words[MOST_NAMED:]),
            since=min((one["since"] for _, one in chosen if one["since"]), default=0.0),
        )


def known_at(first: float, last: float, windows: int, options: DriftOptions) -> float:
    """The time before which the variation of healthy windows is not known, Unix seconds.

    See `penstock.monitoring.drift.settling.is_enough`: they must last long enough, and be enough.

    Args:
        first: Unix seconds at which the first judged window began.
        last: Unix seconds at which the last one ended.
        windows: Number of judged windows.
        options: Of the model.
    """
    missing = max(0, options.calibration_windows - windows)
    long_enough = first + options.baseline_seconds - options.window_seconds
    return max(long_enough, last + missing * options.window_seconds)


def combined(summaries: Iterable[DriftSummary]) -> DriftSummary | None:
    """The summary of a version: that of an arm that drifts, else of the arm with the latest rows.

    Args:
        summaries: Of its arms.
    """
    return max(summaries, key=lambda one: (one.state == DRIFT, one.last), default=None)


def drift_words(found: DriftSummary) -> str:
    """The drift in a few words, for people."""
    if found.state in _NAMING:
        words = f"{_NAMING[found.state]}: {', '.join(found.features) or 'features'}"
        words += f" and {found.others} more" if found.others else ""
    elif found.state == TOO_LITTLE:
        words = f"too few rows: {found.rows:,} in the last window, {found.min_rows:,} needed"
    elif found.state == LEARNING:
        words = "no baseline: it is learnt from live rows"
    else:
        words = _PLAIN.get(found.state, found.state)
    if found.state in {CALIBRATING, PROVISIONAL} and found.until:
        words += f" until {datetime.fromtimestamp(found.until, UTC):%Y-%m-%d %H:%M} UTC or later"
    if found.segments:
        some = "a segment" if found.segments == 1 else f"{found.segments:,} segments"
        words += f"; changed in {some}"
    return f"{words}; {found.problem}" if found.problem else words
