"""One version in one arm: its open window, and what its windows so far have shown.

States of a feature: ``learning`` until there is a baseline, ``calibrating`` until it is known how
much healthy windows vary (only what is critical is reported until then), ``ok``, ``warn`` (flagged
in one window), ``drift_state`` (an episode is open), ``too little data``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from .assessment import assess, expected_false_alarms, subjects_of
from .dispersion import excess
from .episode import Episode, advance
from .rule import Level
from .window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .assessment import Assessment
    from .baseline import Reference
    from .options import DriftOptions

LEARNING: Final = "learning"
CALIBRATING: Final = "calibrating"
OK: Final = "ok"
WARN: Final = "warn"
DRIFT: Final = "drift"
TOO_LITTLE: Final = "too little data"
#: The worst first.
STATES: Final = (DRIFT, WARN, TOO_LITTLE, LEARNING, CALIBRATING, OK)


@dataclass(frozen=True, slots=True)
class Change:
    """An episode began or ended.

    Attributes:
        feature: Name of the feature.
        before: The episode before the window.
        after: And after it.
        assessment: Assessment of the window; ``None`` when the baseline was replaced.
    """

    feature: str
    before: Episode
    after: Episode
    assessment: Assessment | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a closed window showed.

    Attributes:
        state: The worst of its features.
        findings: By feature, for the store.
        changes: Episodes that began or ended.
    """

    state: str
    findings: dict[str, dict[str, Any]]
    changes: list[Change]


class DriftState:
    """What is kept of a version in an arm between two windows.

    Attributes:
        baseline: Id of the baseline that its windows were counted for; empty before the first.
        window: The open one, if any row came since the last.
        closed: Windows that were closed.
        episodes: By feature; those never flagged are left out.
        excesses: Dispersion above 1 for each effective row, by feature, where it is known.
        expected: Episodes a week that windows like the last would open by chance alone.
        source: Where the baseline comes from; empty before the first.
        problem: Why a baseline that was built is not used; empty if none is left aside.
    """

    def __init__(self) -> None:
        self.baseline = ""
        self.source = self.problem = ""
        self.expected = 0.0
        self.window: Window | None = None
        self.closed = 0
        self.episodes: dict[str, Episode] = {}
        self.excesses: dict[str, float] = {}
        self._calibrated: set[str] = set()

    def rebase(self, baseline: str) -> list[Change]:
        """Start anew with another baseline; its bins have nothing to do with those before."""
        changes = [
            Change(name, episode, Episode(), None)
            for name, episode in self.episodes.items()
            if episode.open
        ]
        self.baseline, self.window = baseline, None
        self.episodes, self.excesses, self._calibrated = {}, {}, set()
        return changes

    def calibrate(
        self, references: Mapping[str, Reference], first: Sequence[Window], needed: int
    ) -> None:
        """Learn how much healthy windows vary, from the first ones.

        Args:
            references: By name.
            first: The first windows with enough rows, oldest first.
            needed: How many make it final.
        """
        for name in self.uncalibrated(references):
            reference = references[name]
            if reference.excess is not None:
                self.excesses[name] = reference.excess
                self._calibrated.add(name)
                continue
            size = (reference.bins.size,)
            counts = [one.counts[name] for one in first if name in one.counts]
            counts = [one for one in counts if one.shape == size]
            self.excesses[name] = excess(counts[:needed], reference.bins.exceptional)
            if len(counts) >= needed:
                self._calibrated.add(name)

    def uncalibrated(self, references: Iterable[str]) -> list[str]:
        """Features of which it is not known yet."""
        return [name for name in references if name not in self._calibrated]

    def conclude(self, references: Mapping[str, Reference], options: DriftOptions) -> Verdict:
        """Judge the open window and open the next.

        Args:
            references: By name.
            options: Options of the model.
        """
        window = self.window
        assert window is not None
        self.window = None
        self.closed += 1
        if window.rows < options.min_rows:
            return Verdict(TOO_LITTLE, {}, [])
        if window.sketches is not None:
            window.figures = window.sketches.figures()
        self.expected = self._expected(window, references, options)
        findings, changes = {}, []
        for name, one in assess(window, references, self.excesses, options).items():
            calibrating = name not in self._calibrated
            before = self.episodes.get(name, Episode())
            after = advance(before, one.level, window.end, calibrating=calibrating)
            if after.open is not before.open:
                changes.append(Change(name, before, after, one))
            self.episodes[name] = after
            state = _state(one.level, after, calibrating=calibrating)
            findings[name] = {
                **one.to_dict(),
                "state": state,
                "since": after.since,
                "faults": window.faults(name, references[name])._asdict(),
            }
        states = {one["state"] for one in findings.values()}
        worst = next((state for state in STATES if state in states), TOO_LITTLE)
        return Verdict(worst, findings, changes)

    def _expected(
        self, window: Window, references: Mapping[str, Reference], options: DriftOptions
    ) -> float:
        seconds = max(window.end - window.start, options.window_seconds, 1.0)
        subjects = subjects_of(window, references, self.excesses)
        return expected_false_alarms(subjects, seconds, options)

    def to_dict(self) -> dict[str, Any]:
        """For msgpack."""
        return {
            "baseline": self.baseline,
            "source": self.source,
            "problem": self.problem,
            "expected": self.expected,
            "window": None if self.window is None else self.window.to_dict(),
            "closed": self.closed,
            "episodes": {name: asdict(one) for name, one in self.episodes.items()},
            "excesses": self.excesses,
            "calibrated": sorted(self._calibrated),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> DriftState:
        """The reverse of `to_dict`."""
        drift_state = cls()
        drift_state.baseline = content["baseline"]
        drift_state.source, drift_state.problem = content["source"], content["problem"]
        drift_state.expected = content["expected"]
        if content["window"] is not None:
            drift_state.window = Window.from_dict(content["window"])
        drift_state.closed = content["closed"]
        for name, one in content["episodes"].items():
            recent = tuple(Level(level) for level in one["recent"])
            drift_state.episodes[name] = Episode(**{**one, "recent": recent})
        drift_state.excesses = content["excesses"]
        drift_state._calibrated = set(content["calibrated"])
        return drift_state


def _state(level: Level, episode: Episode, *, calibrating: bool) -> str:
    if episode.open:
        return DRIFT
    if calibrating:
        return CALIBRATING
    return OK if level is Level.CLEAN else WARN
