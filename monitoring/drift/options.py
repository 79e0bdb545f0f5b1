"""``[monitoring]`` of ``model.toml``: the options of the drift monitor of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from penstock.monitoring.segments.header import HEADER

#: Bounds of what the monitor keeps of one version at a time.
MOST_ROWS: Final = 10_000_000
MOST_WINDOWS: Final = 10_000
MOST_SECONDS: Final = 13 * 86_400.0  # a day later windows are merged into days

#: Values of `DriftOptions.client` that are no header.
ADDRESS: Final = "address"
NOBODY: Final = "nobody"


@dataclass(frozen=True, slots=True)
class DriftOptions:
    """``[monitoring]`` of ``model.toml``.

    Attributes:
        drift: Whether it is watched at all.
        features: Names of the input scalars in the order of the model's inputs; empty takes those
            of the baseline, or ``input[i]``.
        window_seconds: A window lasts at least so long,
        window_rows: and has at least so many rows,
        max_window_seconds: but is closed after this in any case.
        min_rows: A window with fewer says nothing.
        learning_rows: Rows of live traffic that choose the bins where no baseline was built; of
            more, an even part is kept.
        learning_seconds: They are of at least so much time, and at least `min_rows`.
        baseline_seconds: Windows of so much time are the learnt baseline; until then it is
            provisional, and no episode opens. So long, too, healthy windows of a baseline that
            was built are compared with each other.
        calibration_windows: The fewest of these.
        false_alarm_rate: Of a window in which nothing has changed, over all features and outputs.
        psi_warn: Corrected PSI from which a significant difference matters.
        psi_critical: From which it is critical.
        share_warn: Change of a category's share from which it matters, whatever the PSI.
        client: What tells the clients of a model apart: `ADDRESS`, `NOBODY`, or `HEADER` and the
            name of a request header.

    Raises:
        ValueError: A value is out of its range.
    """

    drift: bool = True
    features: tuple[str, ...] = ()
    window_seconds: float = 3600.0
    window_rows: int = 500
    max_window_seconds: float = 86_400.0
    min_rows: int = 100
    learning_rows: int = 10_000
    learning_seconds: float = 86_400.0
    baseline_seconds: float = 604_800.0
    calibration_windows: int = 48
    false_alarm_rate: float = 0.01
    psi_warn: float = 0.10
    psi_critical: float = 0.25
    share_warn: float = 0.05
    client: str = ADDRESS

    @property
    def client_header(self) -> bytes | None:
        """As in `penstock.monitoring.samples.run_sample.Origin`."""
        if self.client == NOBODY:
            return None
        return self.client.removeprefix(ADDRESS).removeprefix(HEADER).lower().encode()

    def __post_init__(self) -> None:
        for name in ("window_rows", "min_rows", "learning_rows"):
            if not 1 <= getattr(self, name) <= MOST_ROWS:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, expected at least 1, at most {MOST_ROWS}"
                )
        if not 0 <= self.calibration_windows <= MOST_WINDOWS:
            raise ValueError(
                f"calibration_windows is {self.calibration_windows}, expected 0 or more, "
                f"at most {MOST_WINDOWS}"
            )
        if not 0 <= self.window_seconds <= self.max_window_seconds:
            raise ValueError("expected 0 <= window_seconds <= max_window_seconds")
        for name in ("learning_seconds", "baseline_seconds"):
            if not 0 <= getattr(self, name) <= MOST_SECONDS:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, expected 0 or more, at most {MOST_SECONDS}"
                )
        if not 0 < self.false_alarm_rate < 1:
            raise ValueError(f"false_alarm_rate is {self.false_alarm_rate}, expected 0 to 1")
        if not 0 < self.psi_warn <= self.psi_critical:
            raise ValueError("expected 0 < psi_warn <= psi_critical")
        if not 0 < self.share_warn <= 1:
            raise ValueError(f"share_warn is {self.share_warn}, expected 0 to 1")
