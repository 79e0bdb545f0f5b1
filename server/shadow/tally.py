"""The tally of a shadow's comparisons: sums and worst rows, bounded, kept on disk as JSON.

The counters of `penstock.monitoring.metrics.layout` restart with the server; this goes on from
where it was, and holds what a person wants to see: where and by how much the answers differ.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from .bins import quantile

if TYPE_CHECKING:
    from collections.abc import Mapping

WORST: Final = 20
_NOTES: Final = 10
_TEXT: Final = 500
_QUANTILES: Final = (0.5, 0.9, 0.99, 1.0)
#: Normal quantile of a two-sided interval of 95 %.
_Z: Final = 1.959964


@dataclass(slots=True)
class Counted:
    """The same events in one unit, requests or rows.

    Attributes:
        pairs: Computed by the shadow, too, or failed at.
        disagreements: Of those, with a difference beyond the tolerance, or failed at.
        failures: Of those, requests that the shadow failed at.
        invalid: Of those, with NaN or infinity where the primary has a number.
        dropped: Arrived, and not run.
    """

    pairs: int = 0
    disagreements: int = 0
    failures: int = 0
    invalid: int = 0
    dropped: int = 0


@dataclass(slots=True)
class OutputTally:
    """The comparisons of one output.

    Attributes:
        compared: Rows by the way they were compared, or why they could not be.
        differing: Rows that differ.
        invalid: Rows with NaN or infinity where the primary has a number.
        max_absolute: Largest difference of any value.
        max_relative: The same, as a share of the primary's value.
        histogram: Rows by bin of their largest difference, `penstock.server.shadow.bins`.
    """

    compared: dict[str, int] = field(default_factory=dict)
    differing: int = 0
    invalid: int = 0
    max_absolute: float = 0.0
    max_relative: float = 0.0
    histogram: dict[int, int] = field(default_factory=dict)

    def add(self, rows: int, report: Mapping[str, Any]) -> None:
        """Add one batch."""
        how = report["compared"]
        self.compared[how] = self.compared.get(how, 0) + rows
        self.differing += report["differing"]
        self.invalid += report["invalid"]
        self.max_absolute = max(self.max_absolute, report["max_absolute"])
        self.max_relative = max(self.max_relative, report["max_relative"])
        for number, count in report["histogram"].items():
            self.histogram[number] = self.histogram.get(number, 0) + count


@dataclass(slots=True)
class CpuTally:
    """Processor time of both versions for the same batches, one right after the other.

    Attributes:
        batches: Batches that both versions ran.
        candidate_seconds: Processor time of the candidate.
        primary_seconds: Processor time of the primary.
        log_mean: Mean of the logarithm of their ratio.
        log_squares: Sum of squared distances to that mean.
        rerun: Requests that the primary computed again.
        rerun_differing: Of those, the ones with another answer than at first: that much of all
            disagreement is not the candidate's.
    """

    batches: int = 0
    candidate_seconds: float = 0.0
    primary_seconds: float = 0.0
    log_mean: float = 0.0
    log_squares: float = 0.0
    rerun: int = 0
    rerun_differing: int = 0

    def add(self, candidate_ns: int, primary_ns: int, requests: int, differing: int) -> None:
        """Add one batch that both ran."""
        self.rerun += requests
        self.rerun_differing += differing
        if candidate_ns <= 0 or primary_ns <= 0:
            return
        self.batches += 1
        self.candidate_seconds += candidate_ns * 1e-9
        self.primary_seconds += primary_ns * 1e-9
        step = math.log(candidate_ns / primary_ns) - self.log_mean
        self.log_mean += step / self.batches
        self.log_squares += step * (math.log(candidate_ns / primary_ns) - self.log_mean)

    @property
    def ratio(self) -> float | None:
        """Seconds of the candidate over those of the primary; ``None`` without a batch."""
        return self.candidate_seconds / self.primary_seconds if self.primary_seconds else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the typical (geometric mean) ratio of a batch."""
        if self.batches < 2:  # noqa: PLR2004  a spread needs two
            return None
        error = math.sqrt(self.log_squares / (self.batches - 1) / self.batches)
        return math.exp(self.log_mean - _Z * error), math.exp(self.log_mean + _Z * error)


@dataclass(slots=True)
class Tally:
    """Everything about one rollout's comparisons.

    Attributes:
        requests: Events counted in requests.
        rows: Events counted in rows.
        batches: Batches that were compared.
        outputs: Comparisons by name of the output.
        cpu: Processor time of both versions.
        worst: The rows that differ most.
        errors: Errors of the candidate, latest last.
        deaths: Ends of its process that nobody asked for, latest last.
    """

    requests: Counted = field(default_factory=Counted)
    rows: Counted = field(default_factory=Counted)
    batches: int = 0
    outputs: dict[str, OutputTally] = field(default_factory=dict)
    cpu: CpuTally = field(default_factory=CpuTally)
    worst: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    deaths: list[dict[str, Any]] = field(default_factory=list)

    def add(self, sizes: tuple[int, int], report: Mapping[str, Any]) -> None:
        """Add what the runner reports of a batch that it compared.

        Args:
            sizes: Its requests and rows.
            report: As `penstock.server.shadow.comparer` makes it.
        """
        for counted, size, name in zip(
            (self.requests, self.rows), sizes, ("requests", "rows"), strict=True
        ):
            counted.pairs += size
            counted.disagreements += report[name]["differing"]
            counted.invalid += report[name]["invalid"]
        self.batches += 1
        for name, one in report["outputs"].items():
            self.outputs.setdefault(name, OutputTally()).add(sizes[1], one)
        if report["cpu"] is not None:
            self.cpu.add(*report["cpu"])
        if report["worst"]:
            both = sorted([*self.worst, *report["worst"]], key=lambda one: -one["severity"])
            self.worst = both[:WORST]

    def fail(self, sizes: tuple[int, int], text: str, now: float) -> None:
        """Add a batch that the shadow failed at."""
        for counted, size in zip((self.requests, self.rows), sizes, strict=True):
            counted.pairs += size
            counted.disagreements += size
            counted.failures += size
        known = next((one for one in self.errors if one["text"] == text[:_TEXT]), None)
        if known is None:
            self.errors = [*self.errors[1 - _NOTES :], {"text": text[:_TEXT], "batches": 0}]
            known = self.errors[-1]
        known["batches"] += 1
        known["last"] = now

    def drop(self, sizes: tuple[int, int]) -> None:
        """Add a batch that was not run."""
        self.requests.dropped += sizes[0]
        self.rows.dropped += sizes[1]

    def die(self, reason: str, now: float) -> None:
        """Add the end of a runner."""
        self.deaths = [*self.deaths[1 - _NOTES :], {"reason": reason[:_TEXT], "at": now}]

    def to_json(self) -> dict[str, Any]:
        """The tally as JSON values, with derived figures for reports."""
        content = asdict(self)
        for name, one in self.outputs.items():
            shown = content["outputs"][name]
            shown["histogram"] = {str(bin_): n for bin_, n in sorted(one.histogram.items())}
            shown["quantiles"] = {str(q): _finite(quantile(one.histogram, q)) for q in _QUANTILES}
        content["cpu"] |= {"ratio": self.cpu.ratio, "interval": self.cpu.interval}
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Tally:
        """The reverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: It is not what was written.
        """
        outputs = {}
        for name, one in content["outputs"].items():
            kept = {key: value for key, value in one.items() if key != "quantiles"}
            kept["histogram"] = {int(bin_): n for bin_, n in one["histogram"].items()}
            outputs[name] = OutputTally(**kept)
        derived = ("ratio", "interval")
        cpu = {key: value for key, value in content["cpu"].items() if key not in derived}
        return cls(
            requests=Counted(**content["requests"]),
            rows=Counted(**content["rows"]),
            batches=content["batches"],
            outputs=outputs,
            cpu=CpuTally(**cpu),
            worst=content["worst"],
            errors=content["errors"],
            deaths=content["deaths"],
        )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
