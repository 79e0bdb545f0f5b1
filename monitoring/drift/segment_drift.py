"""The segments of one version in one arm, from one window to the next.

Each segment learns its own baseline: `LEARNT_ROWS` rows at least, of the time of a learnt baseline.
Then its rows are tested when a window of the version closes and at least `min_rows` have come.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from .incident import Change
from .rule import Level
from .segment_rule import assess_segments
from .segment_window import SegmentWindow, windows_by_segment
from .states import Episode, advance

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from penstock.monitoring.samples.samples import BatchSample

    from .baseline import Reference
    from .features import Column
    from .options import DriftOptions
    from .segment_rule import SegmentFinding
    from .variation import Variations

#: Rows of the baseline of a segment.
LEARNT_ROWS: Final = 1000
#: Segments of one version that are watched.
MOST_SEGMENTS: Final = 264
#: States of a segment.
LEARNING, TOO_FEW, OK, CHANGED, DRIFT = (
    "learning",
    "too few rows",
    "ok",
    "changed, small",
    "drift",
)
WARN: Final = "warn"


class SegmentDrift:
    """The state of the segments between two windows.

    Attributes:
        last: The result of the last window, for readers.
    """

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}
        self._baselines: dict[str, SegmentWindow] = {}
        self._windows: dict[str, SegmentWindow] = {}
        self._mixes: dict[str, int] = {}
        self._usual_mixes: dict[str, int] = {}
        self._since = self._until = 0.0
        self._episodes: dict[str, Episode] = {}
        self._features: dict[str, str] = {}  # feature that names an open episode
        self.last: dict[str, Any] = {}

    def count(
        self,
        samples: Sequence[BatchSample],
        features: Sequence[tuple[str, Reference, Column]],
    ) -> None:
        """Count rows by segment.

        Args:
            samples: Samples of the version.
            features: Features of all their rows, with their references.
        """
        if not samples[0].segments:
            return
        self._since = self._since or samples[0].time
        for field, name, window in windows_by_segment(samples, features):
            if name not in self._fields and len(self._fields) >= MOST_SEGMENTS:
                continue
            self._fields[name] = field
            self._mixes[name] = self._mixes.get(name, 0) + window.rows
            if name in self._windows:
                self._windows[name].merge(window)
            else:
                self._windows[name] = window

    def conclude(
        self,
        end: float,
        references: Mapping[str, Reference],
        drifted: Collection[str],
        variations: Mapping[str, Variations],
        options: DriftOptions,
    ) -> list[Change]:
        """Judge the segments when a window of the version has closed.

        Args:
            end: End of the window, Unix seconds.
            references: Features whose baseline is final, by name.
            drifted: Features that differ in all traffic: no segment is blamed for them.
            variations: How much healthy windows of all traffic vary, by feature.
            options: Options of the model.

        Returns:
            Episodes that began or ended.
        """
        if not self._fields:
            return []
        mixes = self._tested_mixes(end, options)
        tested = {name: one for name, one in references.items() if name not in drifted}
        ready = self._ready(options, end) if tested else []
        windows = {name: self._windows.pop(name) for name in ready}
        found = assess_segments(self._baselines, windows, mixes, tested, variations, options)
        changes = [
            change
            for name in windows
            if name in found
            for change in self._advanced(name, found[name], end)
        ]
        self._learn(options)
        self.last = self._told(found, mixes, end, options)
        return changes

    def discard(self) -> None:
        """Leave out the rows since the last window: one client has flooded it."""
        self._windows, self._mixes = {}, {}

    def ended(self) -> list[Change]:
        """The ends of open episodes, where the bins are replaced."""
        return [
            Change(self._subject(name), episode, Episode(), None)
            for name, episode in self._episodes.items()
            if episode.open
        ]

    def episodes(self) -> Iterable[Episode]:
        """All episodes."""
        return self._episodes.values()

    def to_dict(self) -> dict[str, Any]:
        """For msgpack."""
        return {
            "fields": self._fields,
            "baselines": {name: one.to_dict() for name, one in self._baselines.items()},
            "windows": {name: one.to_dict() for name, one in self._windows.items()},
            "mixes": self._mixes,
            "usual_mixes": self._usual_mixes,
            "span": [self._since, self._until],
            "episodes": {name: asdict(one) for name, one in self._episodes.items()},
            "features": self._features,
            "last": self.last,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> SegmentDrift:
        """The reverse of `to_dict`; nothing is known where it is empty."""
        found = cls()
        if not content:
            return found
        found._fields, found._mixes = dict(content["fields"]), dict(content["mixes"])
        for name, one in content["baselines"].items():
            found._baselines[name] = SegmentWindow.from_dict(one)
        for name, one in content["windows"].items():
            found._windows[name] = SegmentWindow.from_dict(one)
        for name, one in content["episodes"].items():
            recent = tuple(Level(level) for level in one["recent"])
            found._episodes[name] = Episode(**{**one, "recent": recent})
        found._usual_mixes = dict(content["usual_mixes"])
        found._since, found._until = content["span"]
        found._features, found.last = dict(content["features"]), dict(content["last"])
        return found

    def _settled(self, name: str, options: DriftOptions) -> bool:
        """Whether the baseline of a segment is complete."""
        one = self._baselines.get(name)
        return (
            one is not None
            and one.rows >= max(LEARNT_ROWS, options.min_rows)
            and one.end - one.start >= options.baseline_seconds
        )

    def _ready(self, options: DriftOptions, end: float) -> list[str]:
        """Segments that are tested now; what is too old and too little is left out."""
        ready = []
        for name, window in list(self._windows.items()):
            if not self._settled(name, options):
                continue
            if window.rows >= options.min_rows:
                ready.append(name)
            elif end - window.start >= options.max_window_seconds:
                del self._windows[name]
        return ready

    def _learn(self, options: DriftOptions) -> None:
        """Put the rows of segments whose baseline is not complete into it."""
        for name in [name for name in self._windows if not self._settled(name, options)]:
            window = self._windows.pop(name)
            if name in self._baselines:
                self._baselines[name].merge(window)
            else:
                self._baselines[name] = window

    def _tested_mixes(
        self, end: float, options: DriftOptions
    ) -> dict[str, tuple[list[int], list[int]]]:
        """By field, rows of each segment in the baseline and in the window that has closed."""
        now, self._mixes = self._mixes, {}
        if not self._until:
            for name, count in now.items():
                self._usual_mixes[name] = self._usual_mixes.get(name, 0) + count
            fields = len(set(self._fields.values()))
            enough = sum(self._usual_mixes.values()) >= LEARNT_ROWS * fields
            if enough and end - self._since >= options.baseline_seconds:
                self._until = end
            return {}
        found = {}
        for field in dict.fromkeys(self._fields.values()):
            names = [name for name, one in self._fields.items() if one == field]
            rows = [now.get(name, 0) for name in names]
            if len(names) > 1 and sum(rows) >= options.min_rows:
                found[field] = [self._usual_mixes.get(name, 0) for name in names], rows
        return found

    def _advanced(self, name: str, finding: SegmentFinding, end: float) -> list[Change]:
        before = self._episodes.get(name, Episode())
        level = finding.assessment.level
        after = advance(before, level, end, calibrating=False)
        if after.open and not before.open:
            self._features[name] = finding.feature
            after = replace(after, incident=self._subject(name))
        self._episodes[name] = after
        if after.open is before.open:
            return []
        return [Change(self._subject(name), before, after, finding.assessment)]

    def _subject(self, name: str) -> str:
        return f"{self._features.get(name, '')} in {name}"

    def _told(
        self,
        found: Mapping[str, SegmentFinding],
        mixes: Mapping[str, tuple[list[int], list[int]]],
        end: float,
        options: DriftOptions,
    ) -> dict[str, Any]:
        segments = []
        for name in self._fields:
            finding, episode = found.get(name), self._episodes.get(name, Episode())
            state = TOO_FEW if self._settled(name, options) else LEARNING
            if finding is not None:
                level = finding.assessment.level
                state = {Level.CLEAN: OK, Level.SMALL: CHANGED}.get(level, WARN)
            if episode.open:
                state = DRIFT
            segments.append(
                {
                    "segment": name,
                    "state": state,
                    "feature": "" if finding is None else finding.feature,
                    "p": None if finding is None else finding.p,
                    "psi": None if finding is None else finding.assessment.psi,
                    "rows": 0 if finding is None else finding.assessment.rows,
                }
            )
        return {
            "end": end,
            "tests": len(found),
            "segments": segments,
            "mixes": [
                {
                    "field": field,
                    "changed": found[field].assessment.level is not Level.CLEAN,
                    "moved": found[field].assessment.moved,
                    "p": found[field].p,
                }
                for field in mixes
            ],
        }
