"""Whether the inputs are what `model.toml` declares of them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .watch import Finding

if TYPE_CHECKING:
    from .meter import Meter

WINDOW_SECONDS: Final = 900.0
STEP_SECONDS: Final = 30.0
#: More than this share of the values of a field, and somebody upstream has changed something.
WORST_SHARE: Final = 0.01
LEAST_FAULTS: Final = 20


def bad_values(model: str, field: str, meter: Meter, now: float) -> Finding:
    """What became of the values of a declared field.

    Args:
        model: Name of the model.
        field: Name of the field.
        meter: Rows that ran first, faults of the field second, refused or not.
        now: Unix seconds.
    """
    rows, faults = meter.growth(now, WINDOW_SECONDS)
    share = faults / max(rows, faults) if faults else 0.0
    bad = faults >= LEAST_FAULTS and share > WORST_SHARE
    summary = (
        f"{field} of {model}: {faults:.0f} values in {rows:.0f} rows of the last 15 minutes were "
        "not what model.toml declares"
    )
    evidence = {"rows": rows, "faults": faults, "share": share, "window_seconds": WINDOW_SECONDS}
    return Finding(model, field, bad, "warning", summary, evidence)
