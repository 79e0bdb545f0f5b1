"""``examples.json``: golden requests of a version, and the comparison with its present answers.

    {"relative_tolerance": 1e-3, "absolute_tolerance": 1e-5,
     "examples": [{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}],
                   "outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [0.3]}]}]}

Tensors are those of the Open Inference Protocol. Only ``inputs`` is required: an example without
outputs must run. In place of the object there may be its list of examples, or a list of rows for a
model with one input.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import numpy as np
import orjson

from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.decoding import ContentError, convert
from penstock.monitoring.files.wording import shown
from penstock.server.codecs.json_data import read
from penstock.server.codecs.request import build
from penstock.server.codecs.signature import WireInput, WireSignature
from penstock.server.codecs.tensors import from_list
from penstock.server.errors import ApiError, InvalidRequest
from penstock.server.files.refusal import ModelRefused
from penstock.server.registry.publish_source import EXAMPLES_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Array, Model, Signature, TensorSpec

#: Between processors and onnxruntime versions, float32 models differ by about 1e-6 of a value.
RELATIVE_TOLERANCE: Final = 1e-3
ABSOLUTE_TOLERANCE: Final = 1e-5
#: Mismatches that are reported; one is enough to refuse.
_MAX_REPORTED: Final = 5
_MAX_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Example:
    """One golden request: inputs in signature order, and the outputs stored for it by name."""

    inputs: Sequence[Array | None]
    expected: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Examples:
    """Golden requests; an output ``y`` may be off by ``absolute + relative * |y|``."""

    examples: tuple[Example, ...] = ()
    relative: float = RELATIVE_TOLERANCE
    absolute: float = ABSOLUTE_TOLERANCE


_Tolerance = Annotated[float, msgspec.Meta(ge=0, description="a number from 0")]


class _File(msgspec.Struct):
    examples: list[Any]
    relative_tolerance: _Tolerance = RELATIVE_TOLERANCE
    absolute_tolerance: _Tolerance = ABSOLUTE_TOLERANCE


class _Output(msgspec.Struct):
    name: str
    shape: Annotated[list[Annotated[int, msgspec.Meta(ge=0)]], msgspec.Meta(description="sizes")]
    data: list[Any]
    datatype: str | None = None


class _Example(msgspec.Struct):
    inputs: list[Any]
    outputs: list[_Output] = []


def read_examples(directory: Path, signature: Signature) -> Examples:
    """The golden requests of a version directory; none if it has no such file.

    Raises:
        ModelRefused: They cannot be read, or are none of a model with this signature.
    """
    path = directory / EXAMPLES_FILE
    try:
        content = read_bounded(path, _MAX_BYTES)
    except FileNotFoundError:
        return Examples()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelRefused(f"{EXAMPLES_FILE}: cannot be read: {reason}") from error
    return parse_examples(content, signature)


def example_inputs(directory: Path, signature: Signature) -> list[Sequence[Array | None]]:
    """Inputs of the golden requests, for `LoadOptions.examples`; none if they cannot be read.

    `read_examples` reports the reason later, when the signature is known.
    """
    try:
        return [example.inputs for example in read_examples(directory, signature).examples]
    except ModelRefused:
        return []


def parse_examples(content: bytes, signature: Signature) -> Examples:
    """Golden requests from the file's content.

    Raises:
        ModelRefused: They are none of a model with this signature; the message says which and why.
    """
    try:
        decoded = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ModelRefused(f"{EXAMPLES_FILE}: not valid JSON: {error}") from error
    if isinstance(decoded, list):
        decoded = {"examples": decoded}
    elif isinstance(decoded, dict) and "inputs" in decoded:
        decoded = {"examples": [decoded]}
    try:
        file = convert(_File, decoded, EXAMPLES_FILE)
        entries = file.examples
        if entries and not any(isinstance(entry, dict) for entry in entries):
            entries = [_request_of_rows(entries, signature)]
        wire = WireSignature(signature, "examples", "1")
        examples = tuple(_example(entry, n, wire, signature) for n, entry in enumerate(entries, 1))
    except ContentError as error:
        raise ModelRefused(str(error)) from error
    return Examples(examples, file.relative_tolerance, file.absolute_tolerance)


def mismatches(model: Model, golden: Examples) -> list[str]:
    """Differences between the model's answers and the stored ones, a few at most."""
    names = [output.name for output in model.signature.outputs]
    found: list[str] = []
    for number, example in enumerate(golden.examples, 1):
        try:
            outputs = dict(zip(names, model.execute(example.inputs, names), strict=True))
        except Exception as error:  # noqa: BLE001  a plug-in may raise anything
            found.append(f"golden request {number} fails: {error}")
        else:
            for name, stored in example.expected.items():
                how = difference(outputs[name], stored, golden.relative, golden.absolute)
                if how:
                    found.append(f"golden request {number}: output '{name}' {how}")
        if len(found) >= _MAX_REPORTED:
            break
    return found


def difference(actual: Array, stored: Array, relative: float, absolute: float) -> str:
    """The largest difference of an output from the stored one; empty if none. NaN equals NaN."""
    if actual.shape != stored.shape:
        return f"has shape {list(actual.shape)}, stored is {list(stored.shape)}"
    if stored.dtype.kind != "f":
        wrong = np.argwhere(actual != stored)
        if not len(wrong):
            return ""
        at = tuple(wrong[0].tolist())
        return f"is {_show(actual[at])} at {list(at)}, stored is {_show(stored[at])}"
    given, right = actual.astype(np.float64), stored.astype(np.float64)
    same = (given == right) | (np.isnan(given) & np.isnan(right))
    with np.errstate(invalid="ignore", over="ignore"):  # infinity less infinity, or times nothing
        allowed = absolute + relative * np.abs(right)
        off = np.where(same, 0.0, np.abs(given - right))
        excess = np.where(np.isfinite(off), off - np.where(same, 0.0, allowed), np.inf)
    if not excess.size or excess.max() <= 0:
        return ""
    at = np.unravel_index(int(excess.argmax()), excess.shape)
    return (
        f"is {given[at]:.6g} at {[int(i) for i in at]}, stored is {right[at]:.6g}: off by "
        f"{off[at]:.3g}, allowed is {allowed[at]:.3g}"
    )


def _show(value: Any) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)[:100]


def _request_of_rows(rows: list[Any], signature: Signature) -> dict[str, Any]:
    if len(signature.inputs) != 1 or not signature.rows_axis:
        raise ContentError(
            f"{EXAMPLES_FILE}: a list of rows is for models with one input whose axis 0 is rows; "
            'expected {"inputs": [{"name": …, "datatype": …, "shape": …, "data": …}]}'
        )
    shape: list[int] = []
    level: Any = rows
    while isinstance(level, list):
        shape.append(len(level))
        level = level[0] if level else None
    spec = signature.inputs[0]
    return {
        "inputs": [{"name": spec.name, "datatype": spec.datatype, "shape": shape, "data": rows}]
    }


def _example(entry: Any, number: int, wire: WireSignature, signature: Signature) -> Example:
    where = f"golden request {number}"
    example = convert(_Example, entry, EXAMPLES_FILE, where)
    specs = {spec.name: spec for spec in signature.outputs}
    try:
        inputs = build({"inputs": example.inputs}, wire, read).inputs
        expected = {
            one.name: _stored(one, specs, f"{EXAMPLES_FILE}: {where}.outputs[{n}]")
            for n, one in enumerate(example.outputs)
        }
    except ApiError as error:
        raise ContentError(f"{EXAMPLES_FILE}: {where}: {error}") from error
    return Example(inputs, expected)


def _stored(output: _Output, specs: Mapping[str, TensorSpec], where: str) -> Array:
    spec = specs.get(output.name)
    if spec is None:
        known = ", ".join(specs)
        raise ContentError(f"{where}.name is {shown(output.name)}, expected one of {known}")
    if output.datatype not in {None, spec.datatype}:
        raise ContentError(f"{where}.datatype is {output.datatype!r}, expected {spec.datatype}")
    shape = output.shape
    try:
        return from_list(output.data, WireInput(0, spec, batch_axis=False), shape, math.prod(shape))
    except InvalidRequest as error:
        text = str(error).replace("input '", "output '", 1)
        raise InvalidRequest(text) from error
