"""The comparison with other drift rules, small; without the libraries that it installs."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.loadtests import drift_streams
from penstock.loadtests.drift_streams import AFTER, BEFORE, COLUMNS, ROWS, WEEK, Kind, traffic
from penstock.loadtests.peers import drift_peers
from penstock.loadtests.peers.drift_peers import OURS, compare, shown


@pytest.mark.parametrize("kind", [*Kind])
def test_a_stream_has_the_stated_change_and_is_drawn_by_its_seed(kind, monkeypatch):
    monkeypatch.setattr(drift_streams, "HALF_MONTH", 24)
    one, again = traffic(kind, 3, 1), traffic(kind, 3, 1)
    assert one.week.shape == (WEEK, COLUMNS, ROWS)
    assert one.healthy.shape == (24, COLUMNS, ROWS)
    assert one.trials.shape == (1, BEFORE + AFTER, COLUMNS, ROWS)
    assert np.array_equal(one.trials, again.trials)
    assert one.baseline.shape == (COLUMNS, WEEK * ROWS)
    assert np.array_equal(one.baseline[:, :ROWS], one.week[0])
    before, after = one.trials[0, :BEFORE], one.trials[0, BEFORE:]
    if kind is Kind.TEXT:
        assert (before[:, 0] == 0).any()
        assert not (after[:, 0] == 0).any()
    elif kind is Kind.RELATION:
        correlations = [np.corrcoef(np.concatenate(w, axis=1))[0, 1] for w in (before, after)]
        assert correlations == pytest.approx([0.8, 0.0], abs=0.05)
    elif kind is Kind.FLOOD:
        assert (one.clients[0, BEFORE:] == 99).mean() == pytest.approx(0.4, abs=0.02)
    else:
        assert after[:, 0].mean() - before[:, 0].mean() > 0.3


def test_both_rules_of_this_environment_find_a_shift_and_are_shown(monkeypatch):
    monkeypatch.setattr(drift_streams, "HALF_MONTH", 24)
    monkeypatch.setattr(drift_streams, "ROWS", 200)
    found = compare(Kind.INDEPENDENT, [1], 1, [])
    assert found.keys() == {OURS, "SciPy, Kolmogorov-Smirnov"}
    (penstock, *others) = found[OURS]
    assert others == [None, None]
    assert (penstock.alarms, len(penstock.delays)) == (0, 1)
    default, learnt, equal = found["SciPy, Kolmogorov-Smirnov"]
    assert default.alarms > 0
    assert len(learnt.delays) == len(equal.delays) == 1
    assert equal.alarms <= 1
    assert shown(Kind.INDEPENDENT, found).row_count == 2


def test_words_are_compared_by_chi_squared_as_scipy_does():
    from scipy.stats import chi2_contingency

    random = np.random.default_rng(1)
    before, values = np.bincount(random.integers(0, 8, 4000)), random.integers(0, 8, 500)
    statistic, freedom = drift_peers._chi_squared(before, values)
    expected = chi2_contingency(np.stack([before, np.bincount(values, minlength=8)]))
    assert (statistic, freedom) == (pytest.approx(expected.statistic), expected.dof)
