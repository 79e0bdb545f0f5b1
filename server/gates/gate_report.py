"""The report of the gates of a version: a verdict and figures for each."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  msgspec reads the annotations
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from penstock.monitoring.files.decoding import convert, decode_json


class Verdict(StrEnum):
    """The verdict of a gate."""

    PASSED = "passed"
    FAILED = "failed"
    TOO_LITTLE = "not enough data"


@dataclass(frozen=True, slots=True)
class GateResult:
    """The result of one gate.

    Attributes:
        gate: Name of the gate.
        verdict: Its verdict.
        reason: What was found and what was expected, in one sentence.
        figures: What was measured.
    """

    gate: str
    verdict: Verdict
    reason: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GateReport:
    """The results of all gates of a version.

    Attributes:
        model: Name of the model.
        version: Number of the version.
        digest: Digest of its files.
        question: Names what was asked: the files, the options of the gates and the held-out rows.
        results: One for each gate.
        incumbent: Version that served then, with which this one was compared; ``None`` if none did.
        incumbent_digest: Digest of its files.
        data: SHA-256 of the held-out file, in hexadecimal digits; empty without one.
        at: When the gates were run, Unix seconds.
        seconds: How long they took.
    """

    model: str
    version: int
    digest: str
    question: str
    results: tuple[GateResult, ...]
    incumbent: int | None = None
    incumbent_digest: str = ""
    data: str = ""
    at: float = 0.0
    seconds: float = 0.0

    @property
    def open_gates(self) -> tuple[GateResult, ...]:
        """The results that keep the version out."""
        return tuple(one for one in self.results if one.verdict is not Verdict.PASSED)

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return not self.open_gates

    @property
    def reason(self) -> str:
        """Why the version is held; empty if every gate passed."""
        return "; ".join(f"gate {one.gate}: {one.verdict}: {one.reason}" for one in self.open_gates)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {**asdict(self), "passed": self.passed}


def parse_report(content: bytes, source: str) -> GateReport:
    """The reverse of `GateReport.to_json`, encoded; `source` names it in errors.

    Raises:
        ContentError: It is no report.
    """
    return convert(GateReport, decode_json(content, source), source)
