import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.shadow.answer_diff import _bins
from penstock.server.shadow.bins import LAST_BIN, bin_edges, quantile
from penstock.server.shadow.tally import CpuTally, Tally


def test_the_ratio_is_of_sums_and_the_interval_holds_the_typical_batch():
    dice = np.random.default_rng(3)
    cpu = CpuTally()
    for _ in range(400):
        primary = int(dice.lognormal(10, 1))
        cpu.add(int(primary * 1.5 * dice.lognormal(0, 0.2)), primary, 1, 0)
    low, high = cpu.interval
    assert low < 1.5 < high
    assert high - low < 0.1
    assert cpu.ratio == pytest.approx(1.5, rel=0.1)


def test_without_measurements_there_is_no_ratio():
    cpu = CpuTally()
    assert (cpu.ratio, cpu.interval) == (None, None)
    cpu.add(0, 0, 3, 1)  # faster than the clock
    assert (cpu.ratio, cpu.batches, cpu.rerun, cpu.rerun_differing) == (None, 0, 3, 1)


def test_what_is_kept_of_errors_and_deaths_is_bounded():
    tally = Tally()
    for number in range(50):
        tally.fail((1, 1), f"error {number} " + "x" * 10_000, float(number))
        tally.die(f"crash {number}", float(number))
    assert len(tally.errors) == len(tally.deaths) == 10
    assert tally.errors[-1]["text"].startswith("error 49")
    assert len(tally.errors[-1]["text"]) == 500
    assert tally.deaths[-1] == {"reason": "crash 49", "at": 49.0}


@given(st.floats(0, 1e308))
def test_a_difference_is_within_the_edges_of_its_bin(difference):
    [number] = _bins(np.array([difference])).tolist()
    low, high = bin_edges(number)
    assert low * (1 - 1e-12) <= difference <= high * (1 + 1e-12)


@given(st.lists(st.floats(1e-12, 1e12), min_size=1), st.sampled_from([0.5, 0.9, 1.0]))
def test_a_quantile_is_an_upper_bound_and_tight_to_a_bin(differences, share):
    bins, counts = np.unique(_bins(np.array(differences)), return_counts=True)
    bound = quantile(dict(zip(bins.tolist(), counts.tolist(), strict=True)), share)
    exact = sorted(differences)[math.ceil(share * len(differences)) - 1]
    assert exact * (1 - 1e-9) <= bound <= exact * 10**0.25 * (1 + 1e-9)


def test_no_difference_is_no_difference():
    assert quantile({-LAST_BIN: 5}, 1.0) == 0.0
    assert quantile({}, 0.5) == 0.0
    assert quantile({LAST_BIN: 1}, 1.0) == math.inf
