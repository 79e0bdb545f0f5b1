"""Everything that is to be seen of a rollout, read from where it is: counters, workers, files."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.monitoring.metrics import layout
from penstock.server.rollout.counts import ArmCounts, Counts, PairCounts
from penstock.server.rollout.rollout_spec import Kind
from penstock.server.rollout.snapshot import Snapshot
from penstock.server.rollout.worst_units import UnitTable, table_of

from .convergence import load_failures, not_ready
from .segment_sums import SegmentSums

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.monitoring.metrics.merge import Fallen, Merged
    from penstock.server.rollout.rollout import Rollout
    from penstock.server.rollout.traffic import Mirror, Split
    from penstock.server.rollout.vetoes import Vetoes

    from .coordinator import Coordinator
    from .exposition import Exposition
    from .step_label_counter import StepLabelCounter

#: Deaths amid requests of the candidate, and of others, too, that are put down to it.
_DEATHS: Final = 2


@dataclass(frozen=True, slots=True)
class Epoch:
    """One run of the counters, which begin at zero with the server.

    Attributes:
        name: Unique name.
        began: Unix seconds of its beginning.
    """

    name: str
    began: float


class Observer:
    """Makes snapshots.

    Args:
        coordinator: Target, workers, registry.
        exposition: Reads the counters.
        vetoes: Alarms from outside.
        epoch: This run of the counters.
        shadow: Whether the shadow of a rollout, by its id, runs, and why it never will.
        labels: Counts what was told later of predictions.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        exposition: Exposition,
        vetoes: Vetoes,
        epoch: Epoch,
        shadow: Callable[[str], tuple[bool, tuple[str, ...]]],
        labels: StepLabelCounter,
    ) -> None:
        self._coordinator = coordinator
        self._exposition = exposition
        self._vetoes = vetoes
        self._epoch = epoch
        self._shadow = shadow
        self._labels = labels
        self._shares: dict[str, tuple[Split | Mirror | None, int]] = {}
        self._deaths: dict[str, frozenset[str]] = {}
        self._segments = SegmentSums()

    async def observe(self, rollout: Rollout, now: float) -> Snapshot:
        """The present snapshot; the counters are read last.

        Args:
            rollout: In progress.
            now: Unix seconds.
        """
        shadowed, hard_failures = True, self._load_failures(rollout)
        if rollout.kind is Kind.SHADOW:
            shadowed, more = await asyncio.to_thread(self._shadow, rollout.id)
            hard_failures += more
        else:
            shadowed = not not_ready(self._coordinator.fleet, rollout.model, rollout.candidate)
        percent = self._percent(rollout)
        vetoes = self._vetoes.against(rollout.model, rollout.candidate, now)
        try:
            merged = await self._exposition.figures()
            labels = await self._labels.count(rollout, now)
        except (OSError, ValueError, sqlite3.Error) as error:
            reason = str(error) or type(error).__name__
            return Snapshot(hard_failures=hard_failures, vetoes=vetoes, unreadable=reason)
        hard_failures += self._crashes(merged, rollout)
        lost = self._uncounted(merged)
        if lost:  # somebody removed its file: what it counts is nowhere to be seen
            return Snapshot(
                hard_failures=hard_failures, vetoes=vetoes, unreadable=f"no counts of {lost}"
            )
        return Snapshot(
            counts=counts_of(merged, rollout),
            labels=labels,
            epoch=self._epoch.name,
            ready=shadowed,
            percent=percent,
            hard_failures=hard_failures,
            vetoes=vetoes,
            units=units_of(merged, rollout),
            segments=self._segments.of(merged.live, rollout),
        )

    def forget(self, running: Sequence[Rollout]) -> None:
        """Keep nothing of rollouts but these."""
        models, ids = {one.model for one in running}, {one.id for one in running}
        self._shares = {name: one for name, one in self._shares.items() if name in models}
        self._deaths = {name: one for name, one in self._deaths.items() if name in ids}
        self._labels.forget(ids)
        self._segments.forget(ids)

    def _percent(self, rollout: Rollout) -> float | None:
        """The share that every worker has taken up, as far as the reports say."""
        target, fleet = self._coordinator.planner.target, self._coordinator.fleet
        plan = target.models.get(rollout.model)
        share: Split | Mirror | None = None
        if plan is not None:
            share = plan.mirror if rollout.kind is Kind.SHADOW else plan.split
        known, number = self._shares.get(rollout.model, (None, 0))
        if known != share or not number:
            # Since when it has been like this may be earlier; what is later is certain.
            number = target.number
            self._shares[rollout.model] = share, number
        if share is None or share.rollout != rollout.id or not fleet.complete:
            return None
        if any(worker.steered < number for worker in fleet.workers.values()):
            return None
        return share.percent

    def _uncounted(self, merged: Merged) -> str:
        """Names of the workers that are there and whose counters are not."""
        counted = {one.process for one in merged.live}
        there = {worker.process for worker in self._coordinator.fleet.workers.values()}
        return ", ".join(sorted(there - counted))

    def _load_failures(self, rollout: Rollout) -> tuple[str, ...]:
        """Why the candidate cannot be loaded, on whichever process."""
        coordinator, key = self._coordinator, (rollout.model, rollout.candidate)
        found = []
        if rollout.kind is not Kind.SHADOW:
            failures = load_failures(coordinator.fleet, *key, 0)
            found += [f"{who} cannot load it: {why}" for who, why in sorted(failures.items())]
        result = coordinator.planner.findings.results.get(key)
        if not coordinator.looked:
            return tuple(found)
        if result is None:
            found.append("it is not in the registry any more")
        elif result.directory is None and not result.waiting:
            found.append(f"it may not be loaded any more: {result.reason}")
        elif result.digest and rollout.digest and result.digest != rollout.digest:
            found.append(f"its files are others by now: their digest is {result.digest}")
        return tuple(found)

    def _crashes(self, merged: Merged, rollout: Rollout) -> tuple[str, ...]:
        """Deaths of processes that are put down to the candidate."""
        known = self._deaths.setdefault(
            rollout.id, frozenset(one.incarnation for one in merged.fallen)
        )
        key = rollout.model, str(rollout.candidate)
        amid = [
            one for one in merged.fallen if one.incarnation not in known and one.in_flight.get(key)
        ]
        if not any(set(one.in_flight) == {key} for one in amid) and len(amid) < _DEATHS:
            return ()
        return (f"{_names(amid)} died while it had requests of the candidate to run",)


def counts_of(merged: Merged, rollout: Rollout) -> Counts:
    """The counts of both versions, since the counters began."""
    blank = [0] * layout.SLOTS
    blocks, model = merged.blocks, rollout.model
    stable = blocks.get((model, str(rollout.stable)), blank)
    canary = blocks.get((model, str(rollout.candidate)), blank)
    if rollout.kind is Kind.SHADOW:
        return Counts(pairs=_pairs(canary))
    return Counts(_arm(stable), _arm(canary))


def _arm(slots: Sequence[int]) -> ArmCounts:
    return ArmCounts(
        requests=slots[layout.ARM_REQUESTS],
        errors=slots[layout.ARM_ERRORS],
        timeouts=slots[layout.ARM_TIMEOUTS],
        invalid=slots[layout.ARM_INVALID],
        slow=slots[layout.ARM_SLOW],
        fallbacks=slots[layout.ARM_FALLBACKS],
        repeated_failures=slots[layout.ARM_REPEATED_FAILURES],
        repeated_invalid=slots[layout.ARM_REPEATED_INVALID],
        repeated_slow=slots[layout.ARM_REPEATED_SLOW],
        rescued=slots[layout.ARM_RESCUED],
        both_failed=slots[layout.ARM_BOTH_FAILED],
        warm_up_slow=slots[layout.ARM_WARM_UP_SLOW],
    )


def units_of(merged: Merged, rollout: Rollout) -> UnitTable:
    """The units that fail most, over all living processes."""
    model = rollout.model
    candidate, stable = (model, str(rollout.candidate)), (model, str(rollout.stable))
    return table_of(
        rollout.id,
        [one.units[candidate] for one in merged.live if candidate in one.units],
        [one.units[stable] for one in merged.live if stable in one.units],
    )


def _pairs(slots: Sequence[int]) -> PairCounts:
    return PairCounts(
        pairs=slots[layout.PAIRS],
        disagreements=slots[layout.DISAGREEMENTS],
        failures=slots[layout.SHADOW_ERRORS],
        dropped=slots[layout.SHADOW_DROPPED],
    )


def _names(fallen: Sequence[Fallen]) -> str:
    return ", ".join(sorted({one.process for one in fallen}))
