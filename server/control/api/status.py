"""``GET /admin/status``: which version runs where, since when, set by which actor. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.metrics.process_stats import read_process
from penstock.server.errors.incidents import recent
from penstock.server.serving.lifecycle import State, loading_for

from .audit_history import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from penstock.server.control.coordination.coordinator import Coordinator
    from penstock.server.control.coordination.fleet import Fleet, Worker

    from .audit_history import AuditHistory, Move
    from .traffic import Traffic

    Figures = Mapping[tuple[str, str], Traffic]

#: What a worker tells of a version that everybody may know.
_TOLD: Final = ("state", "reason", "since", "memory", "batching")
#: The state of a version that is not the same on all workers.
MIXED: Final = "MIXED"


def status(
    coordinator: Coordinator, audit_history: AuditHistory, figures: Figures, now: float
) -> dict[str, Any]:
    """The whole answer.

    Args:
        coordinator: Target, desired state and workers.
        audit_history: Latest records of the audit log.
        figures: Traffic by model and version.
        now: Unix seconds.
    """
    planner, fleet, store = coordinator.planner, coordinator.fleet, coordinator.store
    target = planner.target
    names = sorted({*planner.findings.snapshot.models, *target.models})
    return {
        "generation": store.state.generation,
        "changes_possible": not store.problem,
        "converged": fleet.converged(),
        "target": {
            "number": target.number,
            "models": {
                name: {
                    "versions": list(plan.versions),
                    "default": plan.default,
                    "aliases": dict(plan.aliases),
                }
                for name, plan in target.models.items()
            },
        },
        "models": [_model(name, coordinator, audit_history, figures, now) for name in names],
        "problems": [
            *({"path": "state", "reason": store.problem} for _ in (0,) if store.problem),
            *({"path": str(p.path), "reason": p.reason} for p in planner.findings.problems),
            *(
                {"path": f"{plan.name}/{version}", "reason": reason}
                for plan in target.models.values()
                for version, reason in plan.quarantined.items()
            ),
        ],
        "workers": [
            _worker(one) for one in sorted(fleet.workers.values(), key=lambda one: one.process)
        ],
    }


def process_problems(
    workers: Iterable[Worker], own: Iterable[dict[str, Any]], now: float
) -> list[dict[str, str]]:
    """The recent problems inside the processes.

    Args:
        workers: All that are connected.
        own: Incidents of control; see `Incidents.report`.
        now: Unix seconds.
    """
    found = [("control", text) for text in recent(own, now)]
    for one in workers:
        found += [(one.process, one.problem)] * bool(one.problem)
        found += [(one.process, text) for text in recent(one.incidents, now)]
    return [{"path": process, "reason": text} for process, text in found]


def _model(
    name: str, coordinator: Coordinator, audit_history: AuditHistory, figures: Figures, now: float
) -> dict[str, Any]:
    planner = coordinator.planner
    plan = planner.target.models.get(name)
    entry = planner.findings.snapshot.models.get(name)
    versions = {*(entry.versions if entry else ()), *(plan.versions if plan else ())}
    aliases = coordinator.store.state.model(name).aliases
    default = None if plan is None else plan.default
    if default is not None and not _serves(coordinator.fleet, name, default):
        default = None  # planned, but loading or failed: it answers nobody
    return {
        "name": name,
        "default": default,
        "default_set": _move(
            audit_history.move(name, "stable" if plan is not None and plan.pinned else DEFAULT)
        ),
        "aliases": {
            alias: {"version": version, **_move(audit_history.move(name, alias))}
            for alias, version in sorted(aliases.items())
        },
        "former": list(coordinator.store.state.model(name).former),
        "versions": [
            {
                "version": version,
                "default": version == default,
                "aliases": sorted(alias for alias, one in aliases.items() if one == version),
                **_offer(coordinator, name, version),
                **_where(coordinator.fleet, name, version, now),
                "traffic": _traffic(figures, name, version),
            }
            for version in sorted(versions)
        ],
    }


def _serves(fleet: Fleet, name: str, version: int) -> bool:
    """Whether some worker has the version ready."""
    return any(version in worker.states("READY").get(name, ()) for worker in fleet.workers.values())


def _offer(coordinator: Coordinator, name: str, version: int) -> dict[str, Any]:
    result = coordinator.planner.findings.results.get((name, version))
    if result is None:
        return {"wanted": False, "digest": "", "note": ""}
    return {"wanted": True, "digest": result.digest, "note": result.reason}


def _where(fleet: Fleet, name: str, version: int, now: float) -> dict[str, Any]:
    """One state if all workers agree, else ``MIXED``; and each worker's own."""
    workers = {}
    for worker in fleet.workers.values():
        for one in worker.models:
            if one["name"] == name and one["version"] == str(version):
                told = workers[worker.process] = {key: one[key] for key in _TOLD}
                if one["state"] == State.LOADING:
                    told["reason"] = loading_for(one["since"], one["reason"], now)
    states = {one["state"] for one in workers.values()}
    if len(workers) < len(fleet.workers) and states - {"UNLOADED"}:
        states.add("NEW")
    reasons = sorted({one["reason"] for one in workers.values() if one["reason"]})
    return {
        "state": states.pop() if len(states) == 1 else MIXED if states else "NEW",
        "since": max((one["since"] for one in workers.values()), default=None),
        "reason": "; ".join(reasons),
        "batching": next((one["batching"] for one in workers.values() if one["batching"]), None),
        "workers": workers,
    }


def _traffic(figures: Figures, name: str, version: int) -> dict[str, Any] | None:
    found = figures.get((name, str(version)))
    return None if found is None else asdict(found)


def _move(move: Move | None) -> dict[str, Any]:
    if move is None:
        return {"since": None, "by": "", "reason": ""}
    return {
        "since": move.record.time,
        "by": move.record.event.actor,
        "reason": move.record.event.reason,
    }


def _worker(worker: Worker) -> dict[str, Any]:
    stats = read_process(worker.pid)
    return {
        "process": worker.process,
        "pid": worker.pid,
        "target": worker.target,
        "steered": worker.steered,
        "ready": worker.ready,
        "resident_bytes": None if stats is None else stats.resident_bytes,
        "models": worker.models,
    }
