from __future__ import annotations

import numpy as np
import pytest

from penstock.batching.calibration import BRIEF, BRIEF_CPU, FULL, measure_costs
from penstock.runtimes.contract import ModelExecutionError


class Timed:
    """Takes ``seconds(rows)`` of a clock of its own."""

    def __init__(self, doubler, seconds):
        self.signature = doubler.signature
        self.metadata = {}
        self.seconds = seconds
        self.now = 0.0
        self.runs = []

    def clock(self):
        return self.now

    def execute(self, inputs, outputs):
        rows = inputs[0].shape[0]
        self.runs.append(rows)
        self.now += self.seconds(rows)
        return [inputs[0]]

    def unload(self): ...


def inputs(rows):
    return [np.zeros((rows, 3), np.float32)]


def test_every_knot_is_measured_after_warming_up(doubler):
    model = Timed(doubler, lambda rows: 1e-3 + 1e-4 * rows)
    table = measure_costs(model, inputs, 10, model.clock)
    assert table.sizes == (1, 2, 3, 4, 6, 8, 10)
    assert table.seconds == pytest.approx([1e-3 + 1e-4 * rows for rows in table.sizes])
    assert model.runs.count(4) == FULL.warm_runs + FULL.measured_runs


def test_the_first_runs_and_a_single_slow_one_do_not_count(doubler):
    model = Timed(doubler, lambda rows: 1e-3)
    model.seconds = lambda rows: 0.1 if len(model.runs) in {1, 2, 5} else 1e-3
    assert measure_costs(model, inputs, 1, model.clock).seconds == pytest.approx([1e-3])


def test_long_runs_end_the_measurement(doubler):
    model = Timed(doubler, lambda rows: 0.1 * rows)
    table = measure_costs(model, inputs, 1024, model.clock)
    assert table.sizes == (1, 2, 3)
    assert model.now < 5.0


def test_a_model_that_needs_minutes_is_run_once(doubler):
    model = Timed(doubler, lambda rows: 120.0)
    assert measure_costs(model, inputs, 64, model.clock).seconds == (120.0,)
    assert model.runs == [1]


def test_a_size_that_fails_ends_the_measurement(doubler):
    class Small(Timed):
        def execute(self, inputs, outputs):
            if inputs[0].shape[0] > 4:
                raise ModelExecutionError("out of memory")
            return super().execute(inputs, outputs)

    model = Small(doubler, lambda rows: 1e-3)
    assert measure_costs(model, inputs, 64, model.clock).sizes == (1, 2, 3, 4)


def test_a_model_that_cannot_run_one_row_fails_to_calibrate(doubler):
    with pytest.raises(ModelExecutionError):
        measure_costs(doubler, lambda rows: [-np.ones((rows, 3), np.float32)], 8)


def test_a_brief_measurement_leaves_sizes_out_but_not_the_largest(doubler):
    model = Timed(doubler, lambda rows: 1e-3 + 1e-4 * rows)
    table = measure_costs(model, inputs, 10, model.clock, BRIEF)
    assert table.sizes == (1, 4, 10)
    assert len(model.runs) == 3 * (BRIEF.warm_runs + BRIEF.measured_runs)


def test_by_cpu_time_a_long_run_is_taken_once_and_a_short_one_as_ever(doubler):
    model = Timed(doubler, lambda rows: 4e-4 * rows)
    table = measure_costs(model, inputs, 10, model.clock, BRIEF_CPU)
    assert table.sizes == (1, 4, 10)
    assert len(model.runs) == BRIEF.warm_runs + BRIEF.measured_runs + 1 + 1
    assert table.seconds == pytest.approx((4e-4, 16e-4, 40e-4))
