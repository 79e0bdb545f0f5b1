"""The drift state of one version in one arm: its open window, and the results of its windows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from .assessment import subjects_of
from .constraints import Faults
from .incident import Change, by_contribution, subject_of
from .judgement import judged
from .measurement import measure
from .row_history import RowHistory
from .rule import Level
from .segment_drift import SegmentDrift
from .sensitivity import WEEK_SECONDS, false_alarms_per_week
from .settling import enough, flooded
from .states import (
    CALIBRATING,
    OK,
    PROVISIONAL,
    STATES,
    TOO_LITTLE,
    Episode,
    advanced,
    state_of,
)
from .variation import from_json, known, long_enough, prolonged, to_json, windows_apart
from .window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .baseline import Reference
    from .options import DriftOptions
    from .rule import Subject
    from .variation import Variations

#: Weeks of watching that the rate by formula is worth, beside the episodes that came.
_WEEKS_EXPECTED: Final = 2.0
#: Healthy windows are looked at again when there are so many times as many.
_GROWN: Final = 1.05


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a closed window.

    Attributes:
        state: The worst of its features.
        findings: By feature, for the store.
        changes: Episodes that began or ended.
        notes: Findings about its rows, as `RowFindings.notes`.
    """

    state: str
    findings: dict[str, dict[str, Any]]
    changes: list[Change]
    notes: dict[str, Any] = field(default_factory=dict)


class DriftState:
    """The drift state of a version in an arm.

    Attributes:
        baseline: Id of the baseline that its windows were counted for; empty before the first.
        window: The open window; ``None`` if no row came since the last one.
        closed: Windows that were closed.
        episodes: Episodes by feature; features that were never flagged are left out.
        variations: How much healthy windows vary, by feature, where it is known.
        row_history: The history of whole rows.
        expected: Episodes a week that windows like the last would open by chance alone, and those
            that did open: what was expected counts like `_WEEKS_EXPECTED` weeks of watching.
        source: Where the baseline comes from; empty before the first.
        problem: Why a baseline that was built is not used; empty if none is left aside.
        segments: The segments of its rows.
    """

    def __init__(self) -> None:
        self.baseline = self.source = self.problem = ""
        self.expected = 0.0
        self.window: Window | None = None
        self.closed = 0
        self.episodes: dict[str, Episode] = {}
        self.variations: dict[str, Variations] = {}
        self.segments = SegmentDrift()
        self.row_history = RowHistory()
        self._calibrated: set[str] = set()
        self._judged = self._measured = self._incidents = 0
        self._weeks = 0.0

    def rebase(self, baseline: str, *, settled: bool = False) -> list[Change]:
        """Start anew with another baseline; its bins have nothing to do with those before.

        Args:
            baseline: Its id.
            settled: Whether it is the one before, no longer provisional: what is known of whole
                rows is kept.
        """
        changes = [
            Change(name, episode, Episode(), None)
            for name, episode in self.episodes.items()
            if episode.open
        ] + self.segments.ended()
        self.segments = SegmentDrift()
        self.baseline, self.window = baseline, None
        self.episodes, self.variations, self._calibrated = {}, {}, set()
        if not settled:
            self.row_history = RowHistory()
        self._judged = self._measured = self._incidents = 0
        self._weeks = 0.0
        return changes

    def calibrate(
        self, references: Mapping[str, Reference], first: Sequence[Window], options: DriftOptions
    ) -> None:
        """Learn how much healthy windows vary, from the first ones.

        Args:
            references: By name.
            first: The first windows with enough rows, oldest first.
            options: The number of windows and the time that make the variation final.
        """
        final = not options.calibration_windows or enough(first, options)
        for name in self.uncalibrated(references):
            reference, built = references[name], references[name].variations
            found = {} if built is None else built
            if built is None or (final and not known(built)):
                size = (reference.bins.size,)
                calm = [one for one in first if not flooded(one)]
                counts = [one.counts[name] for one in calm if name in one.counts]
                counts = [one for one in counts if one.shape == size]
                if built is not None and not long_enough(built, len(counts)):
                    self.variations[name] = built
                    continue
                bins = reference.bins
                measured = measure(counts, bins.exceptional, bins.ordered)
                found = measured if built is None else prolonged(built, measured)
            self.variations[name] = found
            if (final or built is not None) and known(found):
                self._calibrated.add(name)

    def due(self) -> bool:
        """True if healthy windows should be measured again; remembers that they were."""
        if self._judged < _GROWN * self._measured:
            return False
        self._measured = self._judged
        return True

    def uncalibrated(self, references: Iterable[str]) -> list[str]:
        """Features whose variation is not known yet."""
        known = {*self._calibrated, *self.row_history.growing}
        return [name for name in references if name not in known]

    def _named(self, changes: list[Change]) -> list[Change]:
        """The changes, those that open with the name of their incident."""
        opened = by_contribution(one for one in changes if one.after.open)
        if not opened:
            return changes
        self._incidents += 1
        incident = subject_of([one.words for one in opened])
        for name in (one.feature for one in opened):
            self.episodes[name] = replace(self.episodes[name], incident=incident)
        return [
            replace(one, after=self.episodes[one.feature]) if one.after.open else one
            for one in changes
        ]

    def _phase(self, name: str, reference: Reference | None) -> str:
        if reference is None:  # relations, which are judged when they are known
            return OK
        if reference.provisional:
            return PROVISIONAL
        return OK if name in self._calibrated else CALIBRATING

    def conclude(self, references: Mapping[str, Reference], options: DriftOptions) -> Verdict:
        """Judge the open window and open the next.

        Args:
            references: By name.
            options: Options of the model.
        """
        window, self.window = self.window, None
        assert window is not None
        self.closed += 1
        if window.rows < options.min_rows:
            return Verdict(TOO_LITTLE, {}, [])
        self._judged += 1
        if window.sketches is not None:
            window.figures = window.sketches.figures()
        seen = self.row_history.look(window)
        references = {name: one for name, one in references.items() if name not in seen.growing}
        subjects = subjects_of(window, references, self.variations)
        self.expected = self._expected(window, subjects, options)
        findings: dict[str, dict[str, Any]] = {}
        changes = self._dropped(seen.growing)
        seen, assessed = judged(
            window, seen, subjects, references, self.variations, self.row_history, options
        )
        window.notes = seen.notes
        for name, one in assessed.items():
            reference = references.get(name)
            phase = self._phase(name, reference)
            before = self.episodes.get(name, Episode())
            apart = windows_apart(self.variations.get(name, {}))
            after = advanced(before, one, window.end, phase, options, apart)
            if after.open is not before.open:
                changes.append(Change(name, before, after, one))
            self.episodes[name] = after
            faults = Faults() if reference is None else window.faults(name, reference)
            findings[name] = {
                **one.to_dict(),
                "state": state_of(one.level, after, phase),
                "phase": phase,
                "since": after.since,
                "faults": faults._asdict(),
            }
        window.forget_rows()
        if seen.flooded_by is not None:
            self.segments.discard()
        changes = self._named(changes) + self._by_segment(window.end, references, findings, options)
        states = {one["state"] for one in findings.values()}
        worst = next((state for state in STATES if state in states), TOO_LITTLE)
        return Verdict(worst, findings, changes, window.notes)

    def _dropped(self, growing: Iterable[str]) -> list[Change]:
        """Forget columns that only grow; the episodes that were open."""
        gone = {name: self.episodes.pop(name) for name in growing if name in self.episodes}
        return [Change(name, one, Episode(), None) for name, one in gone.items() if one.open]

    def _by_segment(
        self,
        end: float,
        references: Mapping[str, Reference],
        findings: Mapping[str, Mapping[str, Any]],
        options: DriftOptions,
    ) -> list[Change]:
        """Close the windows of segments; gives their changes, of features with known variation."""
        known = {name: one for name, one in references.items() if name in self._calibrated}
        drifted = {name for name, one in findings.items() if one["level"].flagged}
        return self.segments.conclude(end, known, drifted, self.variations, options)

    def all_episodes(self) -> list[Episode]:
        """The episodes of all traffic and of segments."""
        return [*self.episodes.values(), *self.segments.episodes()]

    def _expected(
        self, window: Window, subjects: Mapping[str, Subject], options: DriftOptions
    ) -> float:
        seconds = max(window.end - window.start, options.window_seconds, 1.0)
        if self._calibrated:
            self._weeks += seconds / WEEK_SECONDS
        expected = false_alarms_per_week(subjects.values(), seconds, options)
        weeks = self._weeks + _WEEKS_EXPECTED
        return (self._incidents + expected * _WEEKS_EXPECTED) / weeks

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
            "row_history": self.row_history.to_dict(),
            "variations": {name: to_json(one) for name, one in self.variations.items()},
            "calibrated": sorted(self._calibrated),
            "judged": self._judged,
            "measured": self._measured,
            "incidents": self._incidents,
            "weeks": self._weeks,
            "segments": self.segments.to_dict(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> DriftState:
        """The reverse of `to_dict`."""
        drift_state = cls()
        drift_state.baseline = content["baseline"]
        drift_state.source, drift_state.problem = content["source"], content["problem"]
        if content["window"] is not None:
            drift_state.window = Window.from_dict(content["window"])
        drift_state.expected, drift_state.closed = content["expected"], content["closed"]
        for name, one in content["episodes"].items():
            recent = tuple(Level(level) for level in one["recent"])
            drift_state.episodes[name] = Episode(**{**one, "recent": recent})
        if "row_history" in content:
            drift_state.row_history = RowHistory.from_dict(content["row_history"])
        # A state of before the variations: its baseline is replaced, and all begins anew.
        varied = content.get("variations", {})
        drift_state.variations = {name: from_json(one) for name, one in varied.items()}
        drift_state._calibrated = set(content["calibrated"]) if "variations" in content else set()
        drift_state._judged = content.get("judged", 0)
        drift_state._measured = content.get("measured", 0)
        drift_state._incidents = content.get("incidents", 0)
        drift_state._weeks = content.get("weeks", 0.0)
        drift_state.segments = SegmentDrift.from_dict(content.get("segments", {}))
        return drift_state
