"""The state of the prediction log for the status, in one line of figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.monitoring.databases import asides
from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.log_metrics import MONITOR

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.monitoring.metrics.merge import Merged


def log_status(merged: Merged) -> dict[str, Any] | None:
    """Rows written and not, bytes, and how far the monitor is behind; ``None`` without one.

    Args:
        merged: The counters of all processes.
    """
    if MONITOR not in merged.starts:
        return None
    gauges = next((one.gauges for one in merged.live if one.process == MONITOR), None)
    reasons = range(layout.LOG_DROPPED, layout.LOG_DROPPED + len(layout.LOG_DROP_REASONS))
    dropped = merged.total(layout.SAMPLED_ROWS_DROPPED) + sum(map(merged.total, reasons))
    return {
        "running": gauges is not None,
        "rows_written": merged.total(layout.LOG_WRITTEN),
        "rows_dropped": dropped,
        "rows_lost": merged.total(layout.LOG_LOST),
        "bytes": 0 if gauges is None else gauges[layout.LOG_BYTES],
        "lag_seconds": 0.0 if gauges is None else gauges[layout.MONITOR_LAG_NANOSECONDS] * 1e-9,
    }


def damaged_files(state: Path) -> list[dict[str, str]]:
    """Problems for the status: database files of the monitor that were damaged and set aside.

    Args:
        state: ``state_dir/monitor``.
    """
    return [
        {
            "path": one.name,
            "reason": f"was damaged and is kept as {one.path.name}; a new one was begun. Remove "
            "what is kept when nobody needs it",
        }
        for one in asides(state, state / "log")
    ]
