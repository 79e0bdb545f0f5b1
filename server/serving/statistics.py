"""The statistics of served versions in the words of Triton's statistics extension.

Source: "Statistics Extension" of the documentation of the Triton Inference Server. All figures are
counters of all workers since the server started. Of one request, ``queue`` is the time from its
first byte to its run, and ``compute_infer`` the time from there to its answer, in which the answer
is written, too. So both add up to ``success``. Nothing is cached, and no time is counted twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.metrics import layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .catalog import Catalog

_OK: Final = layout.status_index(200)
_STATUSES: Final = slice(layout.STATUS, layout.STATUS + len(layout.STATUS_LABELS))
_NONE: Final = {"count": 0, "ns": 0}


def model_statistics(
    catalog: Catalog,
    blocks: Mapping[tuple[str, str], Sequence[int]],
    name: str | None = None,
    version: str | None = None,
) -> list[dict[str, Any]]:
    """The statistics of served versions, ordered by model and version.

    Args:
        catalog: The served models.
        blocks: Counters by model and version, as `penstock.monitoring.metrics.merge` reads them.
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
            return [_statistics(name, found.version, blocks)]
        names = [name]
    return [
        _statistics(one, number, blocks)
        for one in names
        for number in sorted(catalog.models[one].versions, key=int)
    ]


def _statistics(
    name: str, version: str, blocks: Mapping[tuple[str, str], Sequence[int]]
) -> dict[str, Any]:
    slots = blocks.get((name, version)) or [0] * layout.SLOTS
    succeeded = slots[_OK]
    failed_ns = slots[layout.FAILED_NANOSECONDS]
    succeeded_ns = slots[layout.LATENCY.total] - failed_ns
    queue_ns = slots[layout.QUEUE.total]
    rows = layout.BATCH_ROWS
    return {
        "name": name,
        "version": version,
        "last_inference": 0,  # is not recorded
        "inference_count": slots[rows.total],
        "execution_count": sum(slots[rows.first : rows.total]),
        "inference_stats": {
            "success": {"count": succeeded, "ns": succeeded_ns},
            "fail": {"count": sum(slots[_STATUSES]) - succeeded, "ns": failed_ns},
            "queue": {"count": sum(slots[layout.QUEUE.first : layout.QUEUE.total]), "ns": queue_ns},
            "compute_input": {"count": succeeded, "ns": 0},
            "compute_infer": {"count": succeeded, "ns": max(0, succeeded_ns - queue_ns)},
            "compute_output": {"count": succeeded, "ns": 0},
            "cache_hit": _NONE,
            "cache_miss": _NONE,
        },
        "response_stats": {},
        "batch_stats": [],
        "memory_usage": [],
    }
