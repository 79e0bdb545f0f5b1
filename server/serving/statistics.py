"""The statistics of served versions in the words of Triton's statistics extension.

Source: "Statistics Extension" of the documentation of the Triton Inference Server. All figures are
counters of all workers since the server started. Of one request, ``queue`` is the time from its
first byte to its run, and ``compute_infer`` the time from there to its answer, in which the answer
is written, too. So both add up to ``success``. Nothing is cached, and no time is counted twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.request_figures import request_figures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .catalog import Catalog

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
    found = request_figures(blocks.get((name, version)) or [0] * layout.SLOTS)
    return {
        "name": name,
        "version": version,
        "last_inference": 0,  # is not recorded
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
        "batch_stats": [],
        "memory_usage": [],
    }
