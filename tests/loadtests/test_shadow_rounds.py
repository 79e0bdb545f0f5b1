import numpy as np
import pytest

from penstock.loadtests.outcome import Outcome, RunRefused
from penstock.loadtests.shadow_rounds import Round, figures_of


def window(milliseconds, unsent=0):
    latencies = np.full(100, milliseconds / 1e3)
    return Outcome(2.0, 100 + unsent, latencies, {200: 100}, unsent=unsent)


def test_ratios_are_of_windows_beside_each_other():
    rounds = [
        Round(window(1.0), window(1.1), 100, 40),
        Round(window(9.0), window(9.0), 100, 60),
        Round(window(4.0), window(3.6), 100, 50),
    ]
    figures = figures_of(rounds)
    assert figures["p99_ratio_median"] == pytest.approx(1.0)
    assert figures["p99_ratio_least"] == pytest.approx(0.9)
    assert figures["p99_ratio_most"] == pytest.approx(1.1)
    assert figures["p99_without_milliseconds"] == pytest.approx(4.0)
    assert figures["compared_share_of_copied"] == 0.5
    assert figures["failed_requests"] == 0


def test_a_server_beyond_its_capacity_gives_no_figures():
    with pytest.raises(RunRefused, match=r"5% of the requests of a window \(shadowed\)"):
        figures_of([Round(window(1.0), window(1.0, unsent=5), 1, 1)])


def test_the_median_of_the_ratios_comes_with_its_bounds():
    rounds = [Round(window(1.0), window(1.0 + k / 100), 1, 1) for k in range(10)]
    figures = figures_of(rounds)
    assert figures["p99_ratio_median_from"] == pytest.approx(1.01)
    assert figures["p99_ratio_median_to"] == pytest.approx(1.08)
