"""The statistics of served versions in the words of Triton's statistics extension.

Source: "Statistics Extension" of the documentation of the Triton Inference Server. All figures are
counters of all workers since the server started. Of one request, ``queue`` is the time from its
first byte to its run, and ``compute_infer`` the time from there to its answer, in which the answer
is written, too. So both add up to ``success``. Nothing is cached, and no time is counted twice.
Of a run, ``compute_infer`` is its time on a thread. A ``batch_size`` is the rows of a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.request_figures import request_figures
from penstock.monitoring.metrics.runs_by_rows import runs_by_rows

if TYPE_CHECKING:
    from penstock.monitoring.metrics.merge import Merged

    from .catalog import Catalog

_NONE: Final = {"count": 0, "ns": 0}


def model_statistics(
    catalog: Catalog,
    figures: Merged,
    name: str | None = None,
    version: str | None = None,
) -> list[dict[str, Any]]:
    """The statistics of served versions, ordered by model and version.

    Args:
        catalog: The served models.
        figures: The counters of all workers.
        name: The model; ``None`` for all of them.
        version: The version or an alias of it; ``None`` for all versions.

    Raises:
        NotFound: No such version is served.
        Unavailable: It is being loaded.
    """
    if name is None:
        names = sorted(catalog.models)
    else:
        found = catalog.find(name, version)  # it says what is wrong
        if version is not None:
            return [_statistics(name, found.version, figures)]
        names = [name]
    return [
        _statistics(one, number, figures)
        for one in names
        for number in sorted(catalog.models[one].versions, key=int)
    ]


def _statistics(name: str, version: str, figures: Merged) -> dict[str, Any]:
    slots = figures.blocks.get((name, version)) or [0] * layout.SLOTS
    found = request_figures(slots)
    return {
        "name": name,
        "version": version,
        "last_inference": slots[layout.LAST_RUN] // 1_000_000,
        "inference_count": found.rows,
        "execution_count": found.runs,
        "inference_stats": {
            "success": {"count": found.succeeded, "ns": found.succeeded_ns},
            "fail": {"count": found.failed, "ns": found.failed_ns},
            "queue": {"count": found.queued, "ns": found.queue_ns},
            "compute_input": {"count": found.succeeded, "ns": 0},
            "compute_infer": {"count": found.succeeded, "ns": found.infer_ns},
            "compute_output": {"count": found.succeeded, "ns": 0},
            "cache_hit": _NONE,
            "cache_miss": _NONE,
        },
        "response_stats": {},
        "batch_stats": [
            {
                "batch_size": one.rows,
                "compute_input": {"count": one.runs, "ns": 0},
                "compute_infer": {"count": one.runs, "ns": one.nanoseconds},
                "compute_output": {"count": one.runs, "ns": 0},
            }
            for one in runs_by_rows(figures.runs, name, version)
        ],
        "memory_usage": [],
    }
