"""What a model file leaves unsaid or says wrongly about shapes, found out by running it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .contract import VARIABLE, Column
from .onnx_signature import is_zipmap
from .onnx_values import session_feed
from .synthetic import MAX_PROBE_ELEMENTS, PROBE_SIZES, made_up_elements, synthetic_inputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .contract import Array, Signature, TensorSpec

#: Real requests that are looked at.
MAX_EXAMPLES: Final = 8
#: Numbers of rows of the runs that are looked at.
ROWS: Final = (1, 3)


@dataclass(frozen=True, slots=True)
class Run:
    """What one run showed: its rows, and shapes by output."""

    rows: int
    shapes: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Observation:
    """Facts that onnxruntime shows only in a result.

    Attributes:
        runs: Batches that were run; empty if the model accepted no input that is known.
        classes: Labels of each ZipMap output, in column order; empty if the model could not be run.
        refusal: Error of the model at several rows, if it took one and not them.
    """

    runs: tuple[Run, ...] = ()
    classes: Mapping[str, list[int | str]] = field(default_factory=dict)
    refusal: str = ""

    def complete(self, signature: Signature) -> Signature:
        """The signature with outputs as they are, and a remark where the file says otherwise."""
        outputs: list[TensorSpec] = []
        remarks = list(signature.remarks)
        for spec in signature.outputs:
            seen = [run.shapes[spec.name] for run in self.runs if spec.name in run.shapes]
            shape = spec.shape if not seen else _shape(spec.shape, seen)
            if spec.shape and shape != spec.shape:
                rows, shown = self.runs[-1].rows, list(seen[-1])
                remarks.append(
                    f"output '{spec.name}' is declared {list(spec.shape)} and has shape {shown} "
                    f"for {rows} row{'s'[: rows > 1]}; it is served as {list(shape)}"
                )
            labels = map(str, self.classes.get(spec.name, ()))
            outputs.append(
                replace(spec, shape=shape, columns=tuple(map(Column, labels)) or spec.columns)
            )
        return replace(signature, outputs=tuple(outputs), remarks=tuple(remarks))

    def contradiction(self) -> str:
        """Which output was seen not to have one row for each of the inputs; empty if none."""
        if self.refusal:
            return f"it takes one row and refuses several: {self.refusal}"
        for run in self.runs:
            for name, shape in run.shapes.items():
                if shape[:1] != (run.rows,):
                    rows = f"{run.rows} row{'s'[: run.rows > 1]}"
                    return f"output '{name}' has shape {list(shape)} for {rows}"
        return ""

    def shows_rows(self, signature: Signature) -> bool:
        """Whether axis 0 is rows: each of the runs gave every output as many as it was given.

        What the outputs hold does not matter, so rows may influence each other. Where nothing could
        be run, what the file declares of the outputs is the only hint.

        Args:
            signature: As declared; its `Signature.rows_axis` says whether the inputs may be rows.
        """
        if not signature.rows_axis or self.contradiction():
            return False
        return bool(self.runs) or all(spec.shape[:1] == (VARIABLE,) for spec in signature.outputs)

    def metadata(self) -> dict[str, str]:
        """For each ZipMap output ``x`` the JSON list ``x.classes`` that names its columns."""
        return {
            f"{name}.classes": json.dumps(labels, ensure_ascii=False)
            for name, labels in self.classes.items()
            if labels
        }


def observe(
    session: Any, signature: Signature, examples: Sequence[Sequence[Array | None]] = ()
) -> Observation:
    """Run the model on one row and on several: of made-up inputs, and of real ones.

    Args:
        session: An ``onnxruntime.InferenceSession``.
        signature: As declared. With a rows axis, axis 0 of the inputs is open.
        examples: Real requests, each one array per input; the first few are looked at.
    """
    made_up = _observe_made_up(session, signature)
    if not signature.rows_axis or made_up.refusal:
        return made_up
    runs = list(made_up.runs)
    for example in examples[:MAX_EXAMPLES]:
        one, several = (
            _run_inputs(session, signature, _cut(signature, example, rows)) for rows in ROWS
        )
        if isinstance(one, str):
            continue
        runs.append(_facts(one, ROWS[0]))
        if isinstance(several, str):
            return replace(made_up, runs=tuple(runs), refusal=several)
        runs.append(_facts(several, ROWS[-1]))
    return replace(made_up, runs=tuple(runs))


def _cut(signature: Signature, example: Sequence[Array | None], rows: int) -> list[Array | None]:
    """So many rows from those of a request, over and over."""
    return [
        array
        if array is None or spec.optional or not len(array)
        else np.take(array, np.arange(rows), axis=0, mode="wrap")
        for spec, array in zip(signature.inputs, example, strict=True)
    ]


def _observe_made_up(session: Any, signature: Signature) -> Observation:
    zipmaps = [node.name for node in session.get_outputs() if is_zipmap(node)]
    for size, other in _sizes(signature):
        first = _run(session, signature, 1, size)
        if isinstance(first, str):
            continue
        runs = [_facts(first, 1)]
        classes = {name: [label for row in first[name][:1] for label in row] for name in zipmaps}
        if not signature.rows_axis:
            return Observation(tuple(runs), classes)
        several = _run(session, signature, ROWS[-1], size)
        if isinstance(several, str):
            return Observation(tuple(runs), classes, several)
        if other != size and not isinstance(more := _run(session, signature, ROWS[-1], other), str):
            runs.append(_facts(more, ROWS[-1]))
        runs.append(_facts(several, ROWS[-1]))
        return Observation(tuple(runs), classes)
    return Observation(classes={name: [] for name in zipmaps})


def _sizes(signature: Signature) -> Iterator[tuple[int, int]]:
    """Sizes of open dimensions to try, each with another one for comparison."""
    opened = any(VARIABLE in spec.shape[1:] for spec in signature.inputs)
    for size in PROBE_SIZES if opened else PROBE_SIZES[:1]:
        yield size, size + 1 if opened else size


def _run(session: Any, signature: Signature, rows: int, size: int) -> dict[str, Any] | str:
    """Raw values by output name, or what the model says against the inputs."""
    if size > 1 and made_up_elements(signature, rows, size) > MAX_PROBE_ELEMENTS:
        return "more elements than are tried"
    return _run_inputs(session, signature, synthetic_inputs(signature, rows, variable=size))


def _run_inputs(
    session: Any, signature: Signature, inputs: Sequence[Array | None]
) -> dict[str, Any] | str:
    """The same with these inputs."""
    names = [spec.name for spec in signature.outputs]
    try:
        values = session.run(names, session_feed(signature.inputs, inputs))
    except Exception as error:  # noqa: BLE001  no common base class
        return str(error) or type(error).__name__
    return dict(zip(names, values, strict=True))


def _facts(values: Mapping[str, Any], rows: int) -> Run:
    return Run(rows, {name: _shape_of(value) for name, value in values.items()})


def _shape_of(value: Any) -> tuple[int, ...]:
    if isinstance(value, list):  # a ZipMap's rows
        return (len(value), len(value[0]) if value else 0)
    return tuple(value.shape)


def _shape(declared: tuple[int, ...], seen: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of an output: sizes that were seen to vary are open.

    A size that is declared open stays so. Where nothing was declared, or another number of
    dimensions, one that was the same in all of several runs is fixed.
    """
    if len({len(shape) for shape in seen}) > 1:
        return declared
    rank = len(seen[0])
    columns = [{shape[axis] for shape in seen} for axis in range(rank)]
    fixed = [column.copy().pop() if len(column) == 1 else VARIABLE for column in columns]
    if len(declared) != rank:
        return tuple(fixed) if len(seen) > 1 else (VARIABLE,) * rank
    return tuple(
        VARIABLE if want == VARIABLE else size for want, size in zip(declared, fixed, strict=True)
    )
