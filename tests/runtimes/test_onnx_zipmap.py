"""Classifiers as skl2onnx exports them by default: scores as a sequence of maps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from penstock.runtimes.contract import VARIABLE, Column, ModelExecutionError, TensorSpec
from penstock.runtimes.onnx import OnnxRuntime
from penstock.runtimes.onnx_values import zipmap_matrix
from penstock.runtimes.testing import check_runtime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LABELS = {"int64": [10, 2, -5], "string": ["oui", "non", "ähem"]}


@pytest.fixture(params=LABELS)
def classifier(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Any, Any]:
    """A model file, its scikit-learn original, and its features."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(60, 4)).astype(np.float32)
    labels = np.array(LABELS[request.param])[generator.integers(0, 3, 60)]
    original = LogisticRegression().fit(features, labels)
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(original, features[:1]).SerializeToString())
    return path, original, features


def test_scores_are_a_matrix_in_class_order(
    classifier: tuple[Path, Any, Any], load: Callable[..., Any]
) -> None:
    path, original, features = classifier
    model = load(path)
    label, scores = model.signature.outputs
    assert label.datatype in {"INT64", "BYTES"}
    columns = tuple(Column(str(one)) for one in original.classes_)
    shape = (VARIABLE, VARIABLE)
    assert scores == TensorSpec("output_probability", "FP32", shape, columns=columns)
    assert model.signature.batch_axis
    classes = json.loads(model.metadata["output_probability.classes"])
    assert classes == original.classes_.tolist()
    answers, matrix = model.execute([features[:7]], [label.name, scores.name])
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix, original.predict_proba(features[:7]), atol=1e-5)
    expected = original.predict(features[:7]).tolist()
    assert answers.tolist() == [e.encode() if isinstance(e, str) else e for e in expected]


def test_an_empty_batch_keeps_its_columns(
    classifier: tuple[Path, Any, Any], load: Callable[..., Any]
) -> None:
    path, _, features = classifier
    (matrix,) = load(path).execute([features[:0]], ["output_probability"])
    assert matrix.shape == (0, 3)
    assert matrix.dtype == np.float32


def test_conformance(classifier: tuple[Path, Any, Any]) -> None:
    check_runtime(OnnxRuntime(), classifier[0].parent)


def test_rows_with_different_classes_are_refused() -> None:
    with pytest.raises(ModelExecutionError, match="output 'p' has rows with different numbers"):
        zipmap_matrix("p", [{0: 1.0}, {0: 0.5, 1: 0.5}], 1)
