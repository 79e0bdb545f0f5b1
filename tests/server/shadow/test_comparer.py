"""One candidate and its primary in this process, as the runner has them in another."""

import json
from dataclasses import replace

import numpy as np

from penstock.runtimes.contract import ModelExecutionError, Signature, TensorSpec
from penstock.server.rollout.tolerance import OutputTolerance, Tolerance
from penstock.server.shadow.comparer import Comparer
from penstock.server.shadow.tally import WORST, Tally
from penstock.server.shadow_copies.batches import CopiedBatch


class Linear:
    """Multiplies its input, once for each of its outputs."""

    metadata = {}  # noqa: RUF012  as the contract has it

    def __init__(self, factor=1.0, outputs=("y",), inputs=("x",)):
        self.factor = factor
        specs = [
            tuple(TensorSpec(name, "FP64", (-1, 1)) for name in names)
            for names in (inputs, outputs)
        ]
        self.signature = Signature(*specs, batch_axis=True)

    def execute(self, inputs, outputs):
        return [inputs[0] * self.factor for _ in outputs]

    def unload(self):
        pass


class Broken(Linear):
    def execute(self, inputs, outputs):
        raise ModelExecutionError("it will not")


class Forgetful(Linear):
    def execute(self, inputs, outputs):
        return []


def batch(values=(1.0, 2.0, 3.0), offsets=(0, 1, 3), wanted=("y",), factor=1.0):
    x = np.array(values).reshape(-1, 1)
    ids = [b"id-%d" % number for number in range(len(offsets) - 1)]
    outputs = [x * factor for _ in wanted]
    return CopiedBatch(ids, offsets, ["x"], [x], wanted, outputs, 0.001)


def comparer(candidate, primary=None, tolerance=None, chance=lambda: 0.0, clock=None):
    ticks = iter(range(0, 10**9, 100))
    return Comparer(
        candidate, primary, tolerance or Tolerance(), chance, clock or (lambda: next(ticks))
    )


def test_a_request_differs_if_any_of_its_rows_does():
    one = comparer(Linear())
    given = batch()
    given.outputs[0][2] = 9.0
    report = one.examine(given)
    assert report["rows"] == {"differing": 1, "invalid": 0}
    assert report["requests"] == {"differing": 1, "invalid": 0}
    [worst] = report["worst"]
    assert (worst["request_id"], worst["row"]) == ("id-1", 1)
    assert worst["outputs"] == {"y": {"primary": [9.0], "shadow": [3.0]}}


def test_what_the_candidate_raises_is_its_failure():
    assert comparer(Broken()).examine(batch()) == {"error": "ModelExecutionError: it will not"}
    [text] = comparer(Forgetful()).examine(batch()).values()
    assert text == "TypeError: it gave 0 outputs, expected 1 arrays"


def test_inputs_go_by_name_and_one_that_is_missing_is_a_failure():
    one = comparer(Linear(inputs=("z",)))
    assert one.examine(batch()) == {
        "error": "ValueError: it wants input 'z', which the primary does not take"
    }


def test_outputs_that_only_one_of_them_has_differ():
    more = comparer(Linear(outputs=("y", "z")), Linear())
    assert more.examine(batch())["outputs"]["z"]["compared"] == "extra"
    less = comparer(Linear(), Linear(outputs=("y", "z")))
    report = less.examine(batch(wanted=("y", "z")))
    assert report["outputs"]["z"]["compared"] == "missing"
    assert report["rows"]["differing"] == 3
    assert less.examine(batch(wanted=("y",)))["rows"]["differing"] == 0


def test_who_asked_for_some_outputs_does_not_see_one_more():
    more = comparer(Linear(outputs=("y", "w", "z")), Linear(outputs=("y", "w")))
    assert more.examine(batch(wanted=("y",)))["rows"]["differing"] == 0


def test_an_output_that_is_ignored_may_be_anything():
    tolerance = Tolerance(outputs={"y": OutputTolerance(compare="ignore")})
    assert comparer(Linear(5.0), tolerance=tolerance).examine(batch())["rows"]["differing"] == 0


def test_now_and_then_the_primary_runs_beside_it_and_is_compared_with_itself():
    draws = iter([0.5, 0.0, 0.2, 0.0, 0.7])
    # The primary answered twice its input, and would answer the input itself now.
    one = comparer(Linear(2.0), Linear(), chance=lambda: next(draws))
    assert one.examine(batch(factor=2.0))["cpu"] is None
    first, second = (one.examine(batch(factor=2.0)) for _ in range(2))
    assert first["cpu"] == second["cpu"] == (100, 100, 2, 2)
    assert first["rows"]["differing"] == 0


def test_only_rows_that_are_worse_than_before_are_reported_again():
    one = comparer(Linear())
    seen = Tally()
    for distance in [*range(1, 31), *range(30, 0, -1)]:
        given = batch(values=(1.0,), offsets=(0, 1))
        given.outputs[0] += distance
        seen.add((1, 1), one.examine(given))
    assert len(seen.worst) == WORST
    assert [one["outputs"]["y"]["primary"] for one in seen.worst[:4]] == [
        [31.0], [31.0], [30.0], [30.0]
    ]  # fmt: skip
    given = batch(values=(1.0,), offsets=(0, 1))
    given.outputs[0] += 1
    assert one.examine(given)["worst"] == []


def test_what_is_reported_survives_json_and_adds_up():
    one = comparer(Linear(1.5), Linear())
    tally = Tally()
    for values in ((1.0, 2.0, 3.0), (np.nan, 1.0, np.inf)):
        tally.add((2, 3), one.examine(batch(values=values)))
    tally.fail((2, 3), "it will not", 5.0)
    tally.fail((2, 3), "it will not", 6.0)
    tally.drop((1, 4))
    tally.die("crash: it ended", 7.0)
    content = json.loads(json.dumps(tally.to_json(), allow_nan=False))
    assert Tally.from_json(content).to_json() == tally.to_json()
    assert (tally.requests.pairs, tally.requests.failures, tally.requests.dropped) == (8, 4, 1)
    assert (tally.rows.pairs, tally.rows.disagreements, tally.rows.dropped) == (12, 3 + 1 + 6, 4)
    assert tally.errors == [{"text": "it will not", "batches": 2, "last": 6.0}]
    assert content["outputs"]["y"]["max_absolute"] == 1.5
    assert content["outputs"]["y"]["quantiles"]["1.0"] >= 1.5
    assert content["cpu"]["ratio"] == 1.0


class Centred(Linear):
    """Less the mean of its batch: each request runs alone."""

    def __init__(self):
        super().__init__()
        self.signature = replace(self.signature, batch_axis=False)

    def execute(self, inputs, outputs):
        return [inputs[0] - inputs[0].mean(axis=0)]


def test_a_candidate_whose_requests_run_alone_runs_each_alone():
    given = batch(values=(1.0, 2.0, 4.0), offsets=(0, 1, 3))
    given.outputs[0] = np.array([[0.0], [-1.0], [1.0]])
    report = comparer(Centred(), Linear()).examine(given)
    assert report["rows"] == {"differing": 0, "invalid": 0}
