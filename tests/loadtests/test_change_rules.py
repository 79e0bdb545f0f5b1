"""Rules that see a fall of the accuracy, side by side."""

from __future__ import annotations

import pytest

from penstock.loadtests.change_rules import ALARMS, ceiling, compare, main


def test_no_rule_is_better_than_the_best_there_can_be():
    found = compare(100, 500)
    assert found["Penstock"][0] <= ALARMS
    for false, median, late, soon in found.values():
        assert false <= ALARMS
        assert median < late
        assert 0.9 < soon < ceiling(100)


def test_the_ceiling_falls_with_the_labels_of_a_month():
    assert ceiling(25) > ceiling(100) > ceiling(1000)
    assert ceiling(1000) == pytest.approx(0.957, abs=0.002)


def test_it_prints_a_table(capsys):
    assert main(["--runs", "500", "--labels-a-day", "25"]) == 0
    assert "none can exceed" in capsys.readouterr().out
