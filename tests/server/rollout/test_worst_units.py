"""The table of the units that fail most."""

from __future__ import annotations

import numpy as np

from penstock.monitoring.metrics import layout
from penstock.server.rollout.worst_units import (
    ENTRIES,
    SLOTS,
    Outcome,
    UnitCounts,
    WorstUnits,
    table_of,
    unit_key,
)


def block():
    return memoryview(bytearray(8 * SLOTS)).cast("q")


def test_it_fits_in_a_block_of_a_counter_file():
    assert SLOTS <= layout.UNIT_SLOTS


def test_a_unit_is_counted_from_its_first_failure_on_which_is_not():
    slots = block()
    units = WorstUnits(slots, "r")
    units.answered(b"ann")
    units.failed(b"ann", Outcome.RESCUED, 0.0)
    units.answered(b"ann")
    units.failed(b"ann", Outcome.BOTH_FAILED, 1.0)
    units.failed(b"ann", Outcome.RESCUED, 2.0)
    table = table_of("r", [slots.tolist()], [])
    assert table.canary == (UnitCounts(unit_key("r", b"ann"), 1, 1, 1, 0),)
    assert table.entered == 1
    assert table_of("another", [slots.tolist()], []).canary == ()


def test_timeouts_of_one_stall_are_one_failure():
    slots = block()
    units = WorstUnits(slots, "r")
    units.failed(b"ann", Outcome.RESCUED, 0.0)
    for when in (5.0, 5.1, 5.9, 6.1, 6.2):
        units.failed(b"ann", Outcome.RESCUED, when, timeout=True)
    assert table_of("r", [slots.tolist()], []).canary[0].rescued == 2


def test_who_fails_more_than_its_part_is_always_in_the_table():
    random = np.random.default_rng(1)
    for _ in range(20):
        slots = block()
        units = WorstUnits(slots, "r")
        heavy = np.zeros(4000, bool)
        heavy[: 4000 // (ENTRIES + 1) + 200] = True
        random.shuffle(heavy)
        for number, one in enumerate(heavy):
            units.failed(b"heavy" if one else str(number).encode(), Outcome.RESCUED, 0.0)
        table = table_of("r", [slots.tolist()], [])
        assert unit_key("r", b"heavy") in {one.key for one in table.canary}
        assert len(table.canary) <= ENTRIES
        assert table.entered >= len(table.canary)


def test_tables_of_several_workers_add_up():
    blocks = [block(), block()]
    for slots, failures in zip(blocks, (3, 5), strict=True):
        units = WorstUnits(slots, "r")
        for number in range(1 + failures):
            units.failed(b"ann", Outcome.RESCUED, float(number))
    table = table_of("r", [slots.tolist() for slots in blocks], [])
    assert table.canary == (UnitCounts(unit_key("r", b"ann"), rescued=8),)
    assert table.entered == 2


def test_stables_table_names_who_fails_often_there():
    slots = block()
    units = WorstUnits(slots, "r")
    for unit, failures, answers in ((b"always", 5, 0), (b"seldom", 2, 50)):
        for number in range(1 + failures):
            units.failed(unit, Outcome.UNTRIED, float(number))
        for _ in range(answers):
            units.answered(unit)
    assert table_of("r", [], [slots.tolist()]).stable == (unit_key("r", b"always"),)


def test_a_new_rollout_clears_the_table():
    slots = block()
    WorstUnits(slots, "r").failed(b"ann", Outcome.RESCUED, 0.0)
    WorstUnits(slots, "s")
    assert table_of("s", [slots.tolist()], []).entered == 0
