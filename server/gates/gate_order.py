"""The order to run the gates of a version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from penstock.monitoring.files.stamp import stamp_of

from .gate_report import GateReport, GateResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Signature
    from penstock.server.config.gates_options import GatesOptions
    from penstock.server.config.model_config import ModelConfig


@dataclass(frozen=True, slots=True)
class GatedVersion:
    """One version of a model, and where it is.

    Attributes:
        version: Its number.
        directory: Directory of its files.
        digest: Digest of its files.
        declared: The signature that its manifest promises, if that says.
    """

    version: int
    directory: Path
    digest: str
    declared: Signature | None = None


@dataclass(frozen=True, slots=True)
class GateOrder:
    """What to run.

    Attributes:
        model: Name of the model.
        home: Its directory in the registry, where the held-out file is.
        config: Its configuration.
        subject: The version.
        incumbent: The version that serves; ``None`` if none does.
        card: What the manifest says of the version, by key.
        question: From `question_of`.
        steps: Directories of the versions that run the steps of a pipeline, by model and version;
            those that are not named are in the registry.
    """

    model: str
    home: Path
    config: ModelConfig
    subject: GatedVersion
    incumbent: GatedVersion | None = None
    card: Mapping[str, str] = field(default_factory=dict)
    question: str = ""
    steps: Mapping[tuple[str, int], Path] = field(default_factory=dict)

    def report(
        self, results: Sequence[GateResult], *, data: str = "", at: float, seconds: float
    ) -> GateReport:
        """The report of these results.

        Args:
            results: One for each gate.
            data: SHA-256 of the held-out file.
            at: When the gates were run, Unix seconds.
            seconds: How long they took.
        """
        subject, incumbent = self.subject, self.incumbent
        return GateReport(
            self.model,
            subject.version,
            subject.digest,
            self.question,
            tuple(results),
            None if incumbent is None else incumbent.version,
            "" if incumbent is None else incumbent.digest,
            data,
            at,
            seconds,
        )


def question_of(digest: str, options: GatesOptions, home: Path) -> str:
    """Names the question that a report answers, as hexadecimal digits.

    It holds the files of the version, the options of its gates, and the size and times of the
    held-out file. The version that serves is not part of it: what was better than version 1 is not
    asked again when version 2 serves.

    Args:
        digest: Digest of the files.
        options: What is asked.
        home: Directory of the model.
    """
    evaluation = options.evaluation
    data = None if evaluation is None else stamp_of(home / evaluation.data)
    asked = {**asdict(options), "approval": None, "approval_days": None}
    text = json.dumps([digest, asked, data], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
