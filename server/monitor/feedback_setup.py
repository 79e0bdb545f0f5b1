"""Builds the feedback store of the monitor process, and its alerts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from penstock.monitoring.alerts.alert import Alert
from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.monitoring.feedback.change_detector import CANNOT_TELL
from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.feedback.outputs import REGRESSION
from penstock.monitoring.feedback.schema import FEEDBACK_FILE
from penstock.monitoring.feedback.store import FeedbackStore
from penstock.monitoring.mended import Mended
from penstock.runtimes.contract import ModelLoadError
from penstock.server.registry.class_names import class_names
from penstock.server.registry.served_manifest import served_manifest
from penstock.server.target.target import Target, decode_target
from penstock.server.target.target_file import TargetFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.monitoring.feedback.change_detector import ChangeDetector
    from penstock.monitoring.feedback.evaluator import Evaluator
    from penstock.monitoring.feedback.label_summaries import LabelSummaries
    from penstock.server.config.config import ServerConfig

ALERTS_FILE: Final = "alerts.db"
#: Metric of ``penstock push --metric`` that says what to expect.
ACCURACY: Final = "accuracy"
#: Versions whose place is remembered.
MOST_VERSIONS: Final = 10_000


@dataclass(frozen=True, slots=True)
class PublishedFacts:
    """What the manifest of a version says that labels are compared with.

    Attributes:
        accuracy: Its metric ``accuracy``; ``None`` if there is none between 0 and 1.
        classes: Names of its classes, in the order of the probabilities; empty if it has none.
    """

    accuracy: float | None = None
    classes: tuple[str, ...] = ()


class VersionOptions:
    """The options of each version, as the last target and its manifest have them.

    Args:
        target: Its file.
        registry: Directory of the published versions. A served version is a private copy of files,
            and
            has no manifest.
    """

    def __init__(self, target: Path, registry: Path) -> None:
        self._seen = Target()
        self._target = TargetFile(target, decode_target, self._seen)
        self._registry = registry
        self._options: dict[str, FeedbackOptions] = {}
        self._directories: dict[tuple[str, str], Path] = {}
        self._published: dict[tuple[str, str], PublishedFacts] = {}
        self._unread: set[tuple[str, str]] = set()

    def refresh(self) -> None:
        """Read the target again if it is another one, and manifests that could not be read."""
        for key in self._unread:
            self._published.pop(key, None)
        self._unread.clear()
        target = self._target.current()
        if target is not self._seen:
            self._seen = target
            self._options = {name: plan.config.feedback for name, plan in target.models.items()}
            for name, plan in target.models.items():
                for version, directory in plan.versions.items():
                    self._place(name, str(version), directory)

    def of(self, model: str, version: str) -> FeedbackOptions:
        """Of a version: its manifest says what nobody else says.

        That is the accuracy to expect, and the names of its classes. Answers have these names, so
        labels have them, too.
        """
        options = self._options.get(model) or FeedbackOptions()
        if options.kind == REGRESSION:
            return options
        key = model, version
        if key not in self._published and key in self._directories:
            self._published[key] = self._look(key)
        facts = self._published.get(key, PublishedFacts())
        if options.expected_accuracy is None:
            options = replace(options, expected_accuracy=facts.accuracy)
        named = options.classes or options.prediction or options.score  # which are of these outputs
        return options if named else replace(options, classes=facts.classes)

    def _look(self, key: tuple[str, str]) -> PublishedFacts:
        """What the manifest says; a registry that is away is asked again."""
        directory = self._directories[key]
        try:
            return published_facts(directory, self._registry / key[0] / key[1])
        except (ModelLoadError, OSError):
            self._unread.add(key)
            return PublishedFacts()

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


def published_facts(directory: Path, published: Path) -> PublishedFacts:
    """What a version was published with.

    Args:
        directory: That it is served from; see `served_manifest`.
        published: Its directory in the registry.

    Raises:
        ModelLoadError, OSError: The manifest cannot be read.
    """
    manifest = served_manifest(directory, published)
    if manifest is None:
        return PublishedFacts()
    accuracy = manifest.metrics.get(ACCURACY)
    usable = accuracy is not None and 0 < accuracy < 1
    return PublishedFacts(accuracy if usable else None, class_names(manifest.signature))


class AlertWriter:
    """Tells of a version that has become worse, and of the end of it.

    Args:
        alert_store: Store of the alerts.
    """

    def __init__(self, alert_store: AlertStore) -> None:
        self._alert_store = alert_store

    def tell(self, model: str, version: str, evaluator: Evaluator, change: str, now: float) -> None:
        """Write an alert; `change` is ``opened`` or ``closed``."""
        detector = evaluator.detector
        if change == CANNOT_TELL:
            self._alert_store.put(_doubt(model, version, detector, now))
            return
        opened = change == "opened"
        summary = (
            f"{model} version {version}: the share of bad predictions has risen from "
            f"{detector.rate:.3f} to about {detector.alarm.worse:.3f}, by {detector.labels} labels"
            if opened
            else f"{model} version {version}: it is compared with a share of bad predictions of "
            f"{detector.rate:.3f}, and no longer counts as worse"
        )
        self._alert_store.put(
            Alert(
                kind="performance",
                model=model,
                version=version,
                subject="",
                severity="critical",
                opened=opened,
                episode=f"performance:{model}:{version}:{detector.first_time:.0f}:{detector.alarm.vote}",
                time=now,
                summary=summary,
                evidence={
                    "labels": detector.labels,
                    "reference_rate": detector.rate,
                    "estimated_rate": detector.alarm.worse,
                    "evidence": detector.statistic,
                    "threshold": detector.threshold(now, evaluator.options.false_alarms_per_month),
                    "false_alarms_per_month": evaluator.options.false_alarms_per_month,
                },
            )
        )


def _doubt(model: str, version: str, detector: ChangeDetector, now: float) -> Alert:
    """More predictions look wrong, but labels are given otherwise than before."""
    return Alert(
        kind="labelling.changed",
        model=model,
        version=version,
        subject="",
        severity="warning",
        opened=True,
        episode=f"labelling:{model}:{version}:{detector.since:.0f}",
        time=now,
        summary=f"{model} version {version}: labelling changed: cannot tell whether it is worse: "
        f"{detector.doubt}; the reference is learnt anew",
        evidence={"reason": detector.doubt, "since": detector.since},
    )


def feedback_store(
    config: ServerConfig,
    target: Path,
    state: Path,
    clock: Callable[[], float],
    summaries: LabelSummaries | None = None,
) -> Mended[FeedbackStore]:
    """The feedback store of a server; it begins a new file if its own is damaged.

    Args:
        config: Configuration of the server.
        target: File of the last target.
        state: ``state_dir/monitor``.
        clock: Unix seconds.
        summaries: Are told of the labels of each version.
    """
    options = VersionOptions(target, config.registry)
    writer = AlertWriter(AlertStore(state / ALERTS_FILE))

    def make() -> FeedbackStore:
        options.refresh()
        return FeedbackStore(
            state,
            options.of,
            writer.tell,
            config.feedback_max_rows,
            config.feedback_max_days,
            options.refresh,
            summaries,
        )

    return Mended(make, state / FEEDBACK_FILE, clock)
