"""Makes an ONNX model of a model of another library, and compares the two."""

from __future__ import annotations

import copy
import hashlib
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.runtimes.contract import LoadOptions
from penstock.server.files.refusal import ModelRefused

from .original import LABEL, PROBABILITIES
from .parity import compare

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from penstock.runtimes.contract import Array, Model, Runtime

    from .original import Original
    from .parity import OutputParity

_EXTRA: Final = "pip install 'penstock-server[convert]'"
#: Operator sets of the converted models. The converters of boosters know none after 15.
_OPSETS: Final = {"": 18, "ai.onnx.ml": 3}
_BOOSTER_OPSET: Final = 15


def check_table(original: Original, rows: Any, source: Path) -> Any:
    """The rows with the columns of the model, in its order.

    Raises:
        ModelRefused: They are rows of another model.
    """
    columns, named = original.columns, not isinstance(rows.columns[0], int)
    if columns and named and {*columns} <= {*map(str, rows.columns)}:
        return rows[list(columns)]
    width = original.width or len(columns)
    if width and rows.shape[1] != width:
        raise ModelRefused(f"{source} has {rows.shape[1]} columns, and the model has {width}")
    if columns and named and original.library == "sklearn":
        missing = ", ".join(name for name in columns if name not in {*rows.columns})
        raise ModelRefused(f"{source} lacks columns of the model: {missing}")
    if columns:
        return rows.set_axis(list(columns), axis=1)
    return rows


def convert(original: Original, rows: Any, source: Path, target: Path) -> None:
    """Write the ONNX model of a model.

    Args:
        original: The model.
        rows: Rows as a table; the types of its columns are those of the inputs.
        source: File of the model, for the metadata.
        target: The ONNX file to be written.

    Raises:
        ModelRefused: The converters are not installed, or cannot convert it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sklearn and numpy, about the converters' own code
            made = _converted(original, rows)
    except ImportError as error:
        raise ModelRefused(f"the converters are not installed ({error}): {_EXTRA}") from error
    except Exception as error:  # the converters share no class of errors
        text = (str(error).strip() or type(error).__name__).splitlines()[0][:400]
        raise ModelRefused(
            f"{source} cannot be converted: {text}; push the file as it is, if its runtime can "
            "serve it"
        ) from error
    _describe(made, original, source)
    target.write_bytes(made.SerializeToString())


def _converted(original: Original, rows: Any) -> Any:
    model, width = original.model, rows.shape[1]
    if original.library == "sklearn":
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType

        # Its signature says `None` only, though its documentation has these lists.
        types: Any = _column_types(model, rows) or [("features", FloatTensorType([None, width]))]
        return to_onnx(
            model,
            initial_types=types,
            options={id(model): {"zipmap": False}} if hasattr(model, "predict_proba") else None,
            target_opset=_OPSETS,
        )
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType as BoosterFloats

    how = {
        "initial_types": [("features", BoosterFloats([None, width]))],
        "target_opset": _BOOSTER_OPSET,
    }
    if original.library == "lightgbm":
        return convert_lightgbm(model, zipmap=False, **how)
    return convert_xgboost(_unnamed(model), **how)


def _unnamed(model: Any) -> Any:
    """The model with the names of features that the converter expects, from f0 on."""
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    if not booster.feature_names:
        return model
    clone = copy.deepcopy(model)
    inner = clone.get_booster() if hasattr(clone, "get_booster") else clone
    inner.feature_names = [f"f{place}" for place in range(booster.num_features())]
    return clone


def _column_types(model: Any, rows: Any) -> list[tuple[str, Any]]:
    """One input for each column, if not all columns are numbers or if the model divides them."""
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    texts = [rows[name].dtype == object for name in rows.columns]
    divides = any(hasattr(step, "transformers_") for step in _steps(model))
    if not (any(texts) or divides):
        return []
    return [
        (str(name), StringTensorType([None, 1]) if text else FloatTensorType([None, 1]))
        for name, text in zip(rows.columns, texts, strict=True)
    ]


def _steps(model: Any) -> list[Any]:
    return [model, *(step for _, step in getattr(model, "steps", ()))]


def _describe(made: Any, original: Original, source: Path) -> None:
    """Write the origin of the model into its metadata."""
    facts = {
        "converted_from": source.name,
        "converted_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "converted_by": f"skl2onnx {version('skl2onnx')}, onnxmltools {version('onnxmltools')}",
        "estimator": type(original.model).__name__,
    }
    for key, value in facts.items():
        entry = made.metadata_props.add()
        entry.key, entry.value = key, value


def check_parity(
    original: Original, rows: Any, directory: Path, runtime: Runtime
) -> list[OutputParity]:
    """Compare both models on the rows; the converted one as a server runs it.

    Args:
        original: The model.
        rows: The rows.
        directory: Directory of the converted model.
        runtime: The runtime that serves it.

    Raises:
        ModelRefused: The answers cannot be compared.
        ModelLoadError: The converted model cannot be loaded, or fails at the rows.
    """
    path = runtime.find(directory)
    assert path is not None
    model = runtime.load(path, LoadOptions())
    try:
        names = [output.name for output in model.signature.outputs]
        answers = dict(zip(names, model.execute(_inputs(model, rows), names), strict=True))
    finally:
        model.unload()
    right = original.predict(rows)
    places = {kind: _name(kind, answers) for kind in right}
    return [
        compare(places[kind], one, answers[places[kind]], classes=kind == PROBABILITIES)
        for kind, one in right.items()
    ]


def _name(kind: str, answers: Mapping[str, Array]) -> str:
    """The output of the converted model that stands for an answer of the original."""
    labels = [name for name, one in answers.items() if one.dtype.kind != "f"]
    scores = [name for name, one in answers.items() if one.dtype.kind == "f"]
    found = labels if kind == LABEL else scores
    if len(found) != 1:
        listed = ", ".join(answers)
        raise ModelRefused(
            f"the converted model has the outputs {listed}; one of them must be the {kind}"
        )
    return found[0]


def _inputs(model: Model, rows: Any) -> list[Array]:
    specs = model.signature.inputs
    if len(specs) == 1:
        return [np.ascontiguousarray(rows.to_numpy(), np.float32)]
    arrays = []
    for spec in specs:
        column = rows[spec.name].to_numpy()
        if spec.datatype == "BYTES":
            texts = ["" if one is None or one != one else str(one) for one in column]  # noqa: PLR0124  NaN
            array = np.array([text.encode() for text in texts], object)
        else:
            array = column.astype(np.float32)
        arrays.append(array.reshape(-1, 1))
    return arrays
