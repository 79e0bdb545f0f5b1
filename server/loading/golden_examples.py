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
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from penstock.monitoring.files.config_file import read_bounded
from penstock.server.codecs.json_data import read
from penstock.server.codecs.request import build
from penstock.server.codecs.signature import WireInput, WireSignature
from penstock.server.codecs.tensors import from_list
from penstock.server.errors import ApiError, InvalidRequest
from penstock.server.files.checked_json import CheckedObject, ContentError
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
        keys = CheckedObject(decoded, EXAMPLES_FILE)
        entries = keys.get("examples", list)
        relative = _tolerance(keys, "relative_tolerance", RELATIVE_TOLERANCE)
        absolute = _tolerance(keys, "absolute_tolerance", ABSOLUTE_TOLERANCE)
        if entries and not any(isinstance(entry, dict) for entry in entries):
            entries = [_request_of_rows(entries, signature)]
        wire = WireSignature(signature, "examples", "1")
        examples = tuple(_example(entry, n, wire, signature) for n, entry in enumerate(entries, 1))
    except ContentError as error:
        raise ModelRefused(str(error)) from error
    return Examples(examples, relative, absolute)


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


def _tolerance(keys: CheckedObject, key: str, default: float) -> float:
    value = float(keys.get(key, int | float, default))
    if not 0 <= value < math.inf:
        raise keys.wrong(key, "a number from 0")
    return value


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
    where = f"golden request {number} "
    keys = CheckedObject(entry, EXAMPLES_FILE, where)
    specs = {spec.name: spec for spec in signature.outputs}
    try:
        inputs = build({"inputs": keys.get("inputs", list)}, wire, read).inputs
        expected = dict(_stored(one, specs) for one in keys.objects("outputs", []))
    except ApiError as error:
        raise ContentError(f"{EXAMPLES_FILE}: {where}: {error}") from error
    return Example(inputs, expected)


def _stored(keys: CheckedObject, specs: Mapping[str, TensorSpec]) -> tuple[str, Array]:
    name, shape = keys.get("name", str), keys.get("shape", list)
    spec = specs.get(name)
    if spec is None:
        raise keys.wrong("name", "one of " + ", ".join(specs))
    if keys.get("datatype", str, spec.datatype) != spec.datatype:
        raise keys.wrong("datatype", spec.datatype)
    if not all(type(size) is int and size >= 0 for size in shape):
        raise keys.wrong("shape", "sizes")
    data, size = keys.get("data", list), math.prod(shape)
    try:
        return name, from_list(data, WireInput(0, spec, batch_axis=False), shape, size)
    except InvalidRequest as error:
        text = str(error).replace("input '", "output '", 1)
        raise InvalidRequest(text) from error
