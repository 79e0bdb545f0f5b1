"""Ground truth in the monitor process: what it is made of, and whom it tells."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from penstock.monitoring.alerts.alert import Alert
from penstock.monitoring.alerts.outbox import Outbox
from penstock.monitoring.mended import Mended
from penstock.monitoring.truth.keeper import TruthKeeper
from penstock.monitoring.truth.options import FeedbackOptions
from penstock.monitoring.truth.outputs import REGRESSION
from penstock.monitoring.truth.schema import TRUTH_FILE
from penstock.runtimes.contract import ModelLoadError
from penstock.server.processes.target import read_target
from penstock.server.registry.verification import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.monitoring.truth.judge import Judge
    from penstock.server.config import ServerConfig

ALERTS_FILE: Final = "alerts.db"
#: Metric of ``penstock push --metric`` that says what to expect.
ACCURACY: Final = "accuracy"
#: Versions whose place is remembered.
MOST_VERSIONS: Final = 10_000


class VersionOptions:
    """The options of each version, as the last target and its manifest have them.

    Args:
        target: Its file.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._stamp: tuple[int, int] | None = None
        self._options: dict[str, FeedbackOptions] = {}
        self._directories: dict[tuple[str, str], Path] = {}
        self._published: dict[tuple[str, str], float | None] = {}

    def refresh(self) -> None:
        """Read the target again if it is another one."""
        try:
            facts = self._target.stat()
        except OSError:
            return  # control has made none yet
        stamp = facts.st_ino, facts.st_mtime_ns
        if stamp != self._stamp:
            self._stamp = stamp
            models = read_target(self._target).models
            self._options = {name: plan.config.feedback for name, plan in models.items()}
            for name, plan in models.items():
                for version, directory in plan.versions.items():
                    self._place(name, str(version), directory)

    def of(self, model: str, version: str) -> FeedbackOptions:
        """Of a version; where nobody says what accuracy to expect, its manifest does."""
        options = self._options.get(model) or FeedbackOptions()
        if options.expected_accuracy is not None or options.kind == REGRESSION:
            return options
        key = model, version
        if key not in self._published and key in self._directories:
            self._published[key] = published_accuracy(self._directories[key])
        return replace(options, expected_accuracy=self._published.get(key))

    def _place(self, model: str, version: str, directory: Path) -> None:
        """Where a version is. One that is gone keeps what was said: its labels come for weeks."""
        key = model, version
        if self._directories.get(key) != directory:
            self._directories[key] = directory
            self._published.pop(key, None)
            while len(self._directories) > MOST_VERSIONS:
                oldest = next(iter(self._directories))
                del self._directories[oldest]
                self._published.pop(oldest, None)


def published_accuracy(directory: Path) -> float | None:
    """The metric ``accuracy`` that a version was published with.

    Args:
        directory: Of the version.

    Returns:
        ``None`` if there is none between 0 and 1.
    """
    try:
        manifest = read_manifest(directory)
    except (ModelLoadError, OSError):
        return None
    accuracy = None if manifest is None else manifest.metrics.get(ACCURACY)
    return accuracy if accuracy is not None and 0 < accuracy < 1 else None


class AlertWriter:
    """Tells of a version that has become worse, and of the end of it.

    Args:
        outbox: Where alerts go.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def tell(self, model: str, version: str, judge: Judge, change: str, now: float) -> None:
        """Write an alert; `change` is ``opened`` or ``closed``."""
        detector = judge.detector
        opened = change == "opened"
        summary = (
            f"{model} version {version}: the share of bad predictions has risen from "
            f"{detector.rate:.3f} to about {detector.worse:.3f}, by {detector.labels} labels"
            if opened
            else f"{model} version {version}: bad predictions are back near {detector.rate:.3f}"
        )
        self._outbox.put(
            Alert(
                kind="performance",
                model=model,
                version=version,
                subject="",
                severity="critical",
                opened=opened,
                episode=f"performance:{model}:{version}:{detector.first_time:.0f}:{detector.alarm_at}",
                time=now,
                summary=summary,
                evidence={
                    "labels": detector.labels,
                    "reference_rate": detector.rate,
                    "estimated_rate": detector.worse,
                    "evidence": detector.statistic,
                    "threshold": detector.threshold(now, judge.options.false_alarms_per_month),
                    "false_alarms_per_month": judge.options.false_alarms_per_month,
                },
            )
        )


def truth_keeper(
    config: ServerConfig, target: Path, state: Path, clock: Callable[[], float]
) -> Mended[TruthKeeper]:
    """The keeper of a server, which begins a new file if its own is damaged.

    Args:
        config: Of the server.
        target: File of the last target.
        state: ``state_dir/monitor``.
        clock: Unix seconds.
    """
    options = VersionOptions(target)
    writer = AlertWriter(Outbox(state / ALERTS_FILE))

    def make() -> TruthKeeper:
        options.refresh()
        return TruthKeeper(
            state,
            options.of,
            writer.tell,
            config.feedback_max_rows,
            config.feedback_max_days,
            options.refresh,
        )

    return Mended(make, state / TRUTH_FILE, clock)
