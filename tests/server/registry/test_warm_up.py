"""Warming up: with real inputs if there are any, and measured once per machine."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.batching.cost import CostTable
from penstock.runtimes.contract import ModelExecutionError, Signature, TensorSpec
from penstock.server.loading import warm_up as module
from penstock.server.loading.golden_examples import Example, Examples
from penstock.server.loading.warm_up import CostCache, WarmUp, repeated, warm_up, warm_up_only

DIGEST = "sha256:" + "0" * 64
COSTS = CostTable((1, 2, 4), (1e-3, 1.5e-3, 2e-3))


class Choosy:
    """Takes sevens only."""

    signature = Signature(
        (TensorSpec("x", "FP32", (-1, 3)),), (TensorSpec("y", "FP32", (-1,)),), batch_axis=True
    )

    def __init__(self):
        self.rows = []

    def execute(self, inputs, _):
        if (inputs[0] != 7).any():
            raise ModelExecutionError("not seven")
        self.rows.append(len(inputs[0]))
        return [inputs[0][:, 0]]


GOLDEN = Examples((Example([np.full((2, 3), 7, np.float32)], {}),))


def test_golden_requests_warm_up_what_takes_no_made_up_inputs():
    model = Choosy()
    assert warm_up(model, WarmUp(8, Examples())) is None
    costs = warm_up(model, WarmUp(8, GOLDEN))
    assert costs.sizes == (1, 2, 3, 4, 6, 8)
    assert set(model.rows) == {1, 2, 3, 4, 6, 8}


def test_where_the_costs_are_known_two_runs_do():
    model = Choosy()
    warm_up_only(model, WarmUp(64, GOLDEN))
    assert model.rows == [1, 64]


def test_a_busy_server_measures_for_a_shorter_time(monkeypatch):
    ticks = iter(range(10_000))
    monkeypatch.setattr(module.time, "thread_time", lambda: next(ticks) * 0.02)
    busy = warm_up(Choosy(), WarmUp(4096, GOLDEN, busy=True, single_threaded=True))
    calm = warm_up(Choosy(), WarmUp(4096, GOLDEN, single_threaded=True))
    assert busy.sizes[-1] < calm.sizes[-1]


def test_rows_are_repeated_in_order():
    rows = np.arange(6).reshape(3, 2)
    (array, missing) = repeated([rows, None], 5, batch_axis=True)
    np.testing.assert_array_equal(array, rows[[0, 1, 2, 0, 1]])
    assert missing is None
    assert repeated([rows], 5, batch_axis=False)[0] is rows


def test_costs_are_found_again_under_the_same_conditions_only(tmp_path):
    CostCache(tmp_path / "costs").keep(DIGEST, {"cpu": "a"}, COSTS)
    cache = CostCache(tmp_path / "costs")
    assert cache.find(DIGEST, {"cpu": "a"}) == COSTS
    assert cache.find(DIGEST, {"cpu": "b"}) is None
    assert cache.find("sha256:" + "1" * 64, {"cpu": "a"}) is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"conditions": {}, "rows": [2, 1], "seconds": [1, 1]}']
)
def test_what_is_damaged_is_measured_again(tmp_path, content):
    cache = CostCache(tmp_path)
    cache.keep(DIGEST, {}, COSTS)
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    assert cache.find(DIGEST, {}) is None


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path):
    (tmp_path / "file").write_text("")
    for directory in (None, tmp_path / "file" / "costs"):
        cache = CostCache(directory)
        cache.keep(DIGEST, {}, COSTS)
        assert cache.find(DIGEST, {}) is None


def test_the_cache_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_KEPT", 3)
    cache = CostCache(tmp_path)
    for number in range(6):
        cache.keep(f"sha256:{number}", {}, COSTS)
    CostCache(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
