"""How values go through a pipeline: checked once, when the signatures of all steps are known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from penstock.runtimes.contract import VARIABLE, Signature, TensorSpec
from penstock.server.codecs.signature import WireSignature
from penstock.server.files.refusal import ModelRefused

from .pipeline_file import PIPELINE_FILE, REQUEST, Source
from .route import Route, find_route
from .wired_step import WiredStep

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from penstock.runtimes.contract import Column

    from .pins import Pin
    from .pipeline_file import PipelineFile, Step

#: Routes kept, one for each set of outputs that was asked for.
_MAX_ROUTES: Final = 64


class Wiring:
    """The wiring of one pipeline.

    Each value has a place, its slot: first the inputs of the pipeline, then the outputs of the
    steps.

    Args:
        file: The steps and sources.
        pins: The version of each step, in the same order.
        signatures: The signature of each step, in the same order.

    Attributes:
        signature: Signature of the pipeline.
        steps: The steps, each after the steps that give its inputs.

    Raises:
        ModelRefused: Something does not fit; the message names the place in the file.
    """

    def __init__(
        self, file: PipelineFile, pins: Sequence[Pin], signatures: Sequence[Signature]
    ) -> None:
        known = {step.name: one for step, one in zip(file.steps, signatures, strict=True)}
        inputs = _request_inputs(file, known)
        specs = {**inputs, **_step_outputs(file, known)}
        for step in file.steps:
            _check_step(step, known[step.name], specs)
        outputs = {name: _output(name, one, specs) for name, one in file.outputs.items()}
        _check_use(file)
        slots = {source: slot for slot, source in enumerate(specs)}
        self.steps = tuple(
            _wired(step, pin, known[step.name], specs, slots)
            for step, pin in zip(file.steps, pins, strict=True)
        )
        self._answers = {name: slots[source] for name, source in file.outputs.items()}
        self._inputs = len(inputs)
        self._size = len(slots)
        self._routes: dict[tuple[str, ...], Route] = {}
        # An optional input that is given replaces a constant, which has no rows.
        rows = not any(_wires_optional(step, known[step.name]) for step in file.steps)
        self.signature = Signature(
            tuple(inputs.values()),
            tuple(outputs.values()),
            batch_axis=rows and all(one.batch_axis for one in signatures),
            batching="each step is batched on its own",
            rows_axis=rows and all(one.rows_axis for one in signatures),
        )

    def values(self, inputs: Sequence[object]) -> list[object]:
        """The values at the start of a run, by slot.

        Args:
            inputs: One array per input of the pipeline.
        """
        return [*inputs, *[None] * (self._size - self._inputs)]

    def route(self, outputs: Sequence[str]) -> Route:
        """The steps that these outputs of the pipeline need."""
        names = tuple(outputs)
        route = self._routes.get(names)
        if route is None:
            answer = tuple(self._answers[name] for name in names)
            route = find_route(self.steps, self._size, answer)
            if len(self._routes) < _MAX_ROUTES:
                self._routes[names] = route
        return route


def _request_inputs(
    file: PipelineFile, signatures: Mapping[str, Signature]
) -> dict[Source, TensorSpec]:
    """The inputs of the pipeline: what the steps take of the request."""
    found: dict[Source, TensorSpec] = {}
    told: dict[Source, list[tuple[Column, ...]]] = {}
    for step in file.steps:
        specs = {spec.name: spec for spec in signatures[step.name].inputs}
        for name, source in step.inputs.items():
            place = f"steps.{step.name}.inputs.{name}"
            if name not in specs:
                raise _refusal(place, f"model {step.model!r} has {_names('input', specs)}")
            if source.step == REQUEST:
                spec, known = replace(specs[name], name=source.tensor), found.get(source)
                found[source] = spec if known is None else _common(known, spec, place)
                if spec.columns:
                    told.setdefault(source, []).append(spec.columns)
    return {one: replace(spec, columns=_agreed(told.get(one, ()))) for one, spec in found.items()}


def _step_outputs(
    file: PipelineFile, signatures: Mapping[str, Signature]
) -> dict[Source, TensorSpec]:
    return {
        Source(step.name, spec.name): spec
        for step in file.steps
        for spec in signatures[step.name].outputs
    }


def _check_step(step: Step, signature: Signature, specs: Mapping[Source, TensorSpec]) -> None:
    for spec in signature.inputs:
        source = step.inputs.get(spec.name)
        place = f"steps.{step.name}.inputs.{spec.name}"
        if source is None:
            if not spec.optional:
                raise _refusal(place, f"the input of model {step.model!r} has no source")
            continue
        given = _known(source, specs, place)
        if source.step != REQUEST and not _may_fit(given, spec):
            raise _refusal(
                place, f"it takes {_words(spec)}, and {str(source)!r} is {_words(given)}"
            )


def _output(name: str, source: Source, specs: Mapping[Source, TensorSpec]) -> TensorSpec:
    return replace(_known(source, specs, f"outputs.{name}"), name=name)


def _known(source: Source, specs: Mapping[Source, TensorSpec], place: str) -> TensorSpec:
    spec = specs.get(source)
    if spec is None:
        names = [one.tensor for one in specs if one.step == source.step]
        listed = _names("output", names)
        raise _refusal(place, f"'{source}' is not there; the step has {listed}")
    return spec


def _check_use(file: PipelineFile) -> None:
    taken = {one.step for step in file.steps for one in step.inputs.values()}
    taken |= {one.step for one in file.outputs.values()}
    for step in file.steps:
        if step.name not in taken:
            raise _refusal(f"steps.{step.name}", "nothing takes an output of this step")


def _wired(
    step: Step,
    pin: Pin,
    signature: Signature,
    specs: Mapping[Source, TensorSpec],
    slots: Mapping[Source, int],
) -> WiredStep:
    sources = [step.inputs.get(spec.name) for spec in signature.inputs]
    return WiredStep(
        pin.label,
        WireSignature(signature, pin.model, str(pin.version)),
        [None if one is None else slots[one] for one in sources],
        [None if one is None or one.step == REQUEST else specs[one] for one in sources],
        {spec.name: slots[Source(step.name, spec.name)] for spec in signature.outputs},
    )


def _wires_optional(step: Step, signature: Signature) -> bool:
    return any(spec.optional and spec.name in step.inputs for spec in signature.inputs)


def _common(one: TensorSpec, other: TensorSpec, place: str) -> TensorSpec:
    """What fits both inputs that take the same value of the request."""
    if not _may_fit(one, other):
        raise _refusal(place, f"it takes {_words(other)}, and another input {_words(one)}")
    shape = tuple(max(sizes) for sizes in zip(one.shape, other.shape, strict=True))
    return replace(one, shape=shape, optional=one.optional and other.optional)


def _agreed(told: Sequence[tuple[Column, ...]]) -> tuple[Column, ...]:
    """The columns of an input of several steps; none if one tells them otherwise than another."""
    if len({tuple((one.name, one.categories) for one in columns) for columns in told}) != 1:
        return ()
    return tuple(replace(same[0], missing=all(one.missing for one in same)) for same in zip(*told))  # noqa: B905  as many, as was just seen


def _may_fit(given: TensorSpec, taken: TensorSpec) -> bool:
    return (
        given.datatype == taken.datatype
        and len(given.shape) == len(taken.shape)
        and all(
            left == right or VARIABLE in (left, right)
            for left, right in zip(given.shape, taken.shape, strict=True)
        )
    )


def _words(spec: TensorSpec) -> str:
    return f"{spec.datatype} {list(spec.shape)}"


def _names(kind: str, names: Iterable[str]) -> str:
    listed = ", ".join(map(repr, names))
    return f"the {kind}s {listed}" if listed else f"no {kind}s"


def _refusal(place: str, reason: str) -> ModelRefused:
    return ModelRefused(f"{PIPELINE_FILE}: {place}: {reason}")
