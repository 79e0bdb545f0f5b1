"""``pipeline.toml``: the steps of a pipeline, and the sources of their inputs.

    [[steps]]
    name = "scale"
    model = "scaler"
    inputs = {x = "request.features"}

    [[steps]]
    name = "classify"
    model = "classifier"
    version = 3
    inputs = {x = "scale.scaled"}

    [outputs]
    label = "classify.label"

A source is ``request`` or the name of a step, a dot, and the name of a tensor.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from penstock.monitoring.files.config_file import ConfigFileError, parse_toml
from penstock.monitoring.files.decoding import ContentError, convert
from penstock.server.files.refusal import ModelRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PIPELINE_FILE: Final = "pipeline.toml"
#: The source of the values that a request brings.
REQUEST: Final = "request"
#: Bounds on one pipeline: its steps, the inputs of a step and the outputs of the pipeline, and the
#: inputs that take one value.
MAX_STEPS: Final = 32
MAX_TENSORS: Final = 64
MAX_FAN_OUT: Final = 16

_STEP_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value comes from.

    Attributes:
        step: Name of the step that gives it, or `REQUEST`.
        tensor: Name of an output of the step, or of an input of the pipeline.
    """

    step: str
    tensor: str

    def __str__(self) -> str:
        return f"{self.step}.{self.tensor}"


@dataclass(frozen=True, slots=True)
class Step:
    """One step, as its file has it.

    Attributes:
        name: Name of the step.
        model: Name of the model that runs it.
        version: Version of the model: a number, an alias, or ``None`` for what is current when the
            pipeline is published.
        inputs: The source of each input that is wired.
    """

    name: str
    model: str
    version: int | str | None
    inputs: Mapping[str, Source]


@dataclass(frozen=True, slots=True)
class PipelineFile:
    """The content of a pipeline file.

    Attributes:
        steps: Each after the steps that give its inputs.
        outputs: The source of each output of the pipeline.
    """

    steps: tuple[Step, ...]
    outputs: Mapping[str, Source]


_Tensors = Annotated[
    dict[str, str],
    msgspec.Meta(
        min_length=1, max_length=MAX_TENSORS, description=f"1 to {MAX_TENSORS} tensors and sources"
    ),
]


class _Step(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    model: str
    inputs: _Tensors
    version: int | str | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    steps: Annotated[
        list[_Step],
        msgspec.Meta(min_length=1, max_length=MAX_STEPS, description=f"1 to {MAX_STEPS} steps"),
    ]
    outputs: _Tensors


def parse_pipeline(content: bytes, source: str = PIPELINE_FILE) -> PipelineFile:
    """Check the content of a pipeline file; `source` names the file in errors.

    Raises:
        ModelRefused: It is no pipeline; the message names the place and what was expected.
    """
    try:
        file = convert(_File, parse_toml(content), source, noun="a table")
    except (ConfigFileError, ContentError) as error:
        text = str(error)
        raise ModelRefused(text if text.startswith(source) else f"{source}: {text}") from error
    names = [step.name for step in file.steps]
    _check_names(names, source)
    steps = tuple(
        Step(
            step.name,
            step.model,
            _version(step.version, f"{source}: steps.{step.name}.version"),
            _sources(step.inputs, names, f"{source}: steps.{step.name}.inputs"),
        )
        for step in file.steps
    )
    outputs = _sources(file.outputs, names, f"{source}: outputs")
    for name, found in outputs.items():
        if found.step == REQUEST:
            raise ModelRefused(
                f"{source}: outputs.{name} is {str(found)!r}, expected an output of a step"
            )
    _check_fan_out(steps, outputs, source)
    return PipelineFile(_in_order(steps, source), outputs)


def _check_names(names: Sequence[str], source: str) -> None:
    for name, times in Counter(names).items():
        if not _STEP_NAME.fullmatch(name) or name == REQUEST:
            raise ModelRefused(
                f"{source}: a step is called {name[:100]!r}, expected a letter, then letters, "
                f"digits, _ and - (64 characters at most), and not {REQUEST!r}"
            )
        if times > 1:
            raise ModelRefused(f"{source}: {times} steps are called {name!r}, expected one")


def _version(version: int | str | None, place: str) -> int | str | None:
    if isinstance(version, int) and version < 1:
        raise ModelRefused(f"{place} is {version}, expected a whole number from 1, or an alias")
    return version


def _sources(wires: Mapping[str, str], names: Sequence[str], place: str) -> dict[str, Source]:
    found = {}
    for tensor, text in wires.items():
        step, dot, name = text.partition(".")
        if not (dot and name and (step == REQUEST or step in names)):
            known = ", ".join(f"'{one}.…'" for one in (REQUEST, *names))
            raise ModelRefused(f"{place}.{tensor} is {text[:200]!r}, expected one of {known}")
        found[tensor] = Source(step, name)
    return found


def _check_fan_out(steps: Sequence[Step], outputs: Mapping[str, Source], source: str) -> None:
    taken = Counter([*_all_sources(steps), *outputs.values()])
    for one, times in taken.items():
        if times > MAX_FAN_OUT:
            raise ModelRefused(
                f"{source}: {str(one)!r} is taken {times} times, at most {MAX_FAN_OUT} are allowed"
            )


def _all_sources(steps: Sequence[Step]) -> Iterator[Source]:
    for step in steps:
        yield from step.inputs.values()


def _in_order(steps: Sequence[Step], source: str) -> tuple[Step, ...]:
    by_name = {step.name: step for step in steps}
    needs = {
        step.name: [one.step for one in step.inputs.values() if one.step != REQUEST]
        for step in steps
    }
    try:
        return tuple(by_name[name] for name in TopologicalSorter(needs).static_order())
    except CycleError as error:
        cycle = " → ".join(reversed(error.args[1]))
        raise ModelRefused(f"{source}: the steps need one another in a circle: {cycle}") from error
