"""Finds the workers that have not applied the target yet, and the reasons. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.server.serving.lifecycle import State, loading_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .fleet import Fleet

#: Versions named in an answer.
_MAX_SHOWN: Final = 5
_ABSENT = "it is starting"


def not_ready(fleet: Fleet, model: str, version: int) -> dict[str, str]:
    """Workers that do not have the version ready, and its state there."""
    found = dict(_missing(fleet))
    for worker in fleet.workers.values():
        report = _find(worker.models, model, version)
        if report is None or report["state"] != "READY":
            found[worker.process] = "not begun" if report is None else report["state"]
    return found


def load_failures(fleet: Fleet, model: str, version: int, number: int) -> dict[str, str]:
    """Workers that failed to load the version for this target or a later one, and why."""
    found = {}
    for worker in fleet.workers.values():
        report = _find(worker.models, model, version)
        if report is not None and report["state"] == "FAILED" and worker.target >= number:
            found[worker.process] = report["reason"]
    return found


def why_not_ready(fleet: Fleet, now: float) -> str:
    """The reason why no worker serves yet; empty if one does, also while another one restarts.

    Args:
        fleet: All workers.
        now: Unix seconds.
    """
    workers = fleet.workers.values()
    if any(worker.ready for worker in workers):
        return ""
    loading = {
        f"version {one['version']} of model {one['name']!r}: "
        f"{loading_for(one['since'], one['reason'], now)}"
        for worker in workers
        for one in worker.models
        if one["state"] == State.LOADING
    }
    if loading:
        return "; ".join(sorted(loading)[:_MAX_SHOWN])
    return "the workers have not dealt with the registry yet" if workers else "no worker is there"


def not_steered(fleet: Fleet, number: int, *, applied: bool = False) -> dict[str, str]:
    """Workers where the names of this target are not in force.

    Args:
        fleet: All workers.
        number: Number of the target.
        applied: Whether they must also have unloaded what it does not name.
    """
    found = dict(_missing(fleet))
    for worker in fleet.workers.values():
        reached = worker.target if applied else worker.steered
        if reached < number:
            found[worker.process] = f"it is at target {reached} of {number}"
    return found


def _missing(fleet: Fleet) -> Iterator[tuple[str, str]]:
    present = {worker.process for worker in fleet.workers.values()}
    for index in range(fleet.expected):
        name = f"worker-{index}"
        if name not in present and len(present) < fleet.expected:
            yield name, _ABSENT


def _find(models: list[dict[str, Any]], model: str, version: int) -> dict[str, Any] | None:
    number = str(version)
    return next((one for one in models if one["name"] == model and one["version"] == number), None)
