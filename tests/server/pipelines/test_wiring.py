"""Signatures of the steps are compared when a pipeline is loaded; refusals name the place."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from penstock.batching.errors import InvalidOutput
from penstock.runtimes.contract import Column, Signature, TensorSpec, UnsuitableInput
from penstock.server.files.refusal import ModelRefused
from penstock.server.pipelines.pins import Pin
from penstock.server.pipelines.pipeline_file import parse_pipeline
from penstock.server.pipelines.pipeline_model import PipelineModel
from penstock.server.pipelines.step_failed import StepFailed, cause_of
from penstock.server.pipelines.wiring import Wiring

TWO = """
[[steps]]
name = "a"
model = "m"
version = 1
inputs = {x = "request.x"}
[[steps]]
name = "b"
model = "n"
version = 1
inputs = {x = "a.y"}
[outputs]
y = "b.y"
"""


def signature(
    given: tuple[Any, ...] = ("FP32", (-1, 3)),
    made: tuple[Any, ...] = ("FP32", (-1, 3)),
    *,
    batch_axis: bool = True,
    more: tuple[TensorSpec, ...] = (),
) -> Signature:
    return Signature(
        (TensorSpec("x", *given), *more),
        (TensorSpec("y", *made), TensorSpec("z", "INT64", (-1,))),
        batch_axis,
    )


def wire(text: str, *signatures: Signature) -> Wiring:
    file = parse_pipeline(text.encode())
    pins = [Pin(step.name, step.model, 1) for step in file.steps]
    return Wiring(file, pins, signatures)


REFUSED: dict[str, tuple[str, Signature, Signature, str]] = {
    "an unknown input": (
        TWO.replace('x = "a.y"', 'w = "a.y"'),
        signature(),
        signature(),
        "steps.b.inputs.w: model 'n' has the inputs 'x'",
    ),
    "an input without a source": (
        TWO,
        signature(),
        signature(more=(TensorSpec("w", "FP32", (-1,)),)),
        "steps.b.inputs.w: the input of model 'n' has no source",
    ),
    "an unknown output": (
        TWO.replace("a.y", "a.q"),
        signature(),
        signature(),
        "steps.b.inputs.x: 'a.q' is not there; the step has the outputs 'y', 'z'",
    ),
    "an unknown answer": (
        TWO.replace("b.y", "b.q"),
        signature(),
        signature(),
        "outputs.y: 'b.q' is not there",
    ),
    "another datatype": (
        TWO,
        signature(made=("FP64", (-1, 3))),
        signature(),
        "steps.b.inputs.x: it takes FP32 [-1, 3], and 'a.y' is FP64 [-1, 3]",
    ),
    "another width": (TWO, signature(made=("FP32", (-1, 4))), signature(), "'a.y' is FP32 [-1, 4]"),
    "another rank": (TWO, signature(made=("FP32", (-1,))), signature(), "'a.y' is FP32 [-1]"),
    "a step for nothing": (
        TWO.replace("b.y", "a.y"),
        signature(),
        signature(),
        "steps.b: nothing takes an output of this step",
    ),
    "an input of two datatypes": (
        TWO.replace('x = "a.y"', 'x = "request.x"').replace('y = "b.y"', 'y = "b.y"\nz = "a.z"'),
        signature(),
        signature(given=("FP64", (-1, 3))),
        "steps.b.inputs.x: it takes FP64 [-1, 3], and another input FP32 [-1, 3]",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_with_its_place(case: str) -> None:
    text, first, second, reason = REFUSED[case]
    with pytest.raises(ModelRefused) as raised:
        wire(text, first, second)
    assert reason in str(raised.value)


def test_the_signature_is_that_of_the_ends() -> None:
    both = wire(TWO, signature(given=("BYTES", (-1,))), signature(made=("FP64", (-1, 7))))
    assert both.signature.inputs == (TensorSpec("x", "BYTES", (-1,)),)
    assert both.signature.outputs == (TensorSpec("y", "FP64", (-1, 7)),)
    assert both.signature.batch_axis


def test_a_shared_input_is_as_strict_as_the_strictest_step() -> None:
    text = TWO.replace('x = "a.y"', 'x = "request.x"').replace('"b.y"', '"b.y"\nz = "a.z"')
    shared = wire(text, signature(given=("FP32", (-1, -1))), signature())
    assert shared.signature.inputs == (TensorSpec("x", "FP32", (-1, 3)),)


AGE, CITY = Column("age", missing=True), Column("city", ("Oslo", "Bergen"))


@pytest.mark.parametrize(
    ("other", "common"),
    [
        ((), (AGE, CITY)),
        ((Column("age"), CITY), (Column("age"), CITY)),
        ((CITY, AGE), ()),
        ((AGE, Column("city", ("Bergen", "Oslo"))), ()),
    ],
)
def test_a_shared_input_has_the_columns_in_which_its_steps_agree(
    other: tuple[Column, ...], common: tuple[Column, ...]
) -> None:
    def named(columns: tuple[Column, ...]) -> Signature:
        spec = TensorSpec("x", "FP32", (-1, 2), columns=columns)
        return replace(signature(), inputs=(spec,))

    more = '[[steps]]\nname = "c"\nmodel = "o"\nversion = 1\ninputs = {x = "request.x"}\n[outputs]'
    text = TWO.replace("a.y", "request.x").replace("[outputs]", more)
    text += 'z = "a.z"\nlast = "c.z"\n'
    for three in itertools.permutations([(AGE, CITY), other, (AGE, CITY)]):
        assert wire(text, *map(named, three)).signature.inputs[0].columns == common


def test_one_step_that_runs_alone_makes_the_pipeline_run_alone() -> None:
    assert not wire(TWO, signature(), signature(batch_axis=False)).signature.batch_axis


def test_an_optional_input_is_optional_only_if_all_its_steps_say_so() -> None:
    extra = (TensorSpec("w", "FP32", (3,), optional=True),)
    text = TWO.replace('x = "a.y"', 'x = "a.y", w = "request.w"')
    one = wire(text, signature(), signature(more=extra)).signature
    assert one.inputs[1] == TensorSpec("w", "FP32", (3,), optional=True)
    assert not one.batch_axis
    left_out = wire(TWO, signature(), signature(more=extra)).signature
    assert left_out.batch_axis


class Echo:
    """Gives fixed arrays, whatever its signature promises."""

    def __init__(self, signature: Signature, **outputs: Any) -> None:
        self.metadata: dict[str, str] = {}
        self.signature = signature
        self._outputs = outputs

    def execute(self, _inputs: Any, outputs: Any) -> list[Any]:
        return [self._outputs[name] for name in outputs]

    def unload(self) -> None:
        pass


def run(first: Echo, second: Echo) -> list[Any]:
    file = parse_pipeline(TWO.encode())
    pins = [Pin(step.name, step.model, 1) for step in file.steps]
    wiring = Wiring(file, pins, [first.signature, second.signature])
    model = PipelineModel(wiring, pins, [first, second])
    return model.execute([np.zeros((2, 3), np.float32)], ["y"])


def test_a_value_of_another_shape_than_promised_is_the_fault_of_the_step_that_gave_it() -> None:
    lying = Echo(signature(), y=np.zeros((2, 4), np.float32))
    with pytest.raises(
        StepFailed, match=r"step 'b'.*has shape \[2, 4\], expected \[-1, 3\]"
    ) as raised:
        run(lying, Echo(signature()))
    assert isinstance(cause_of(raised.value), InvalidOutput)


def test_a_value_of_an_open_shape_that_does_not_fit_is_the_fault_of_the_request() -> None:
    open_one = Echo(signature(made=("FP32", (-1, -1))), y=np.zeros((2, 4), np.float32))
    with pytest.raises(StepFailed) as raised:
        run(open_one, Echo(signature()))
    assert isinstance(cause_of(raised.value), UnsuitableInput)


def test_a_step_that_breaks_its_contract_is_named() -> None:
    wrong = Echo(signature(), y=np.zeros((2, 3), np.float64))
    with pytest.raises(StepFailed, match=r"^step 'a' \(model 'm' version 1\): .*float64"):
        run(wrong, Echo(signature()))
