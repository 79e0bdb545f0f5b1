"""Which bad answers of a unit are evidence."""

from __future__ import annotations

from penstock.monitoring.metrics import layout
from penstock.server.rollout.unit_memory import (
    MEMORY_BYTES,
    SETS,
    WAYS,
    FirstFailures,
    UnitMemory,
    anonymous_memory,
)


def test_the_memory_has_the_size_that_processes_share():
    assert MEMORY_BYTES == layout.UNIT_MEMORY_BYTES


def test_a_key_is_new_once_and_the_one_asked_for_longest_ago_is_forgotten():
    memory = UnitMemory(anonymous_memory())
    same_set = [1 + SETS * n for n in range(WAYS + 1)]
    assert all(memory.add(key) for key in same_set[:WAYS])
    assert not memory.add(same_set[0])  # now the youngest
    assert memory.add(same_set[WAYS])  # takes the place of the second
    assert not memory.add(same_set[0])
    assert memory.add(same_set[1])


def first(memory, percent=5.0, rollout="r", **options):
    return FirstFailures(memory, rollout, percent, **options)


def test_two_workers_count_a_unit_once():
    shared = anonymous_memory()
    here, there = (first(UnitMemory(shared)) for _ in range(2))
    assert here.is_first(b"ann", b"failed", canary=True)
    assert not there.is_first(b"ann", b"failed", canary=True)
    assert there.is_first(b"ann", b"slow", canary=True)
    assert there.is_first(b"bob", b"failed", canary=True)


def test_in_stable_a_unit_counts_once_in_each_step_and_in_the_canary_once():
    memory = UnitMemory(anonymous_memory())
    counted = [
        first(memory, percent).is_first(b"ann", b"failed", canary=canary)
        for percent, canary in (
            (5.0, False),
            (5.0, False),
            (25.0, False),
            (50.0, True),
            (50.0, True),
            (75.0, True),
        )
    ]
    assert counted == [True, False, True, True, False, False]


def test_under_watch_only_units_count_that_never_did():
    memory = UnitMemory(anonymous_memory())
    assert first(memory, 50.0).is_first(b"ann", b"failed", canary=False)
    watch = first(memory, 95.0, watching=True)
    assert not watch.is_first(b"ann", b"failed", canary=True)
    assert watch.is_first(b"bob", b"failed", canary=True)
    assert not watch.is_first(b"bob", b"failed", canary=True)


def test_another_rollout_knows_nothing_of_it():
    memory = UnitMemory(anonymous_memory())
    assert first(memory).is_first(b"ann", b"failed", canary=True)
    assert first(memory, rollout="s").is_first(b"ann", b"failed", canary=True)
