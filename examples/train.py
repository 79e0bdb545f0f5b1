"""Train the example models, from data sets that ship inside scikit-learn.

    examples/registry/breast-cancer/1/model.onnx   logistic regression
    examples/registry/breast-cancer/2/model.onnx   200 gradient-boosted trees
    examples/registry/digits/1/model.onnx          multi-layer perceptron, 8 x 8 pixels
    examples/data/<model>.csv                      200 held-out rows: features and ``target``

Every model takes ``features`` (float32, one row per example) and gives ``label`` (int64) and
``probabilities`` (float32, one column per class). Where a model comes from is written into its
file. Run twice on one machine, the script writes the same bytes twice.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn
from onnx import checker, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray
    from onnx import ModelProto

HERE = Path(__file__).resolve().parent
SEED = 1
HELD_OUT_ROWS = 200
OPSETS = {"": 17, "ai.onnx.ml": 3}  # what every onnxruntime of the last years reads


@dataclass(frozen=True)
class Split:
    """One data set, cut in two; features are float32, as the served model will see them."""

    feature_names: tuple[str, ...]
    train: NDArray[np.float32]
    train_target: NDArray[np.int64]
    held_out: NDArray[np.float32]
    held_out_target: NDArray[np.int64]

    @property
    def digest(self) -> str:
        """SHA-256 of the training rows and their targets, in order, as little-endian bytes."""
        digest = hashlib.sha256(self.train.astype("<f4").tobytes())
        digest.update(self.train_target.astype("<i8").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Trained:
    """One fitted version of a model."""

    name: str
    version: int
    split: Split
    estimator: Any  # a fitted scikit-learn classifier


@dataclass(frozen=True)
class Recipe:
    """How to make one version of a model."""

    name: str
    version: int
    load: Callable[[], Any]
    estimator: Callable[[], Any]


def _boosted_trees() -> GradientBoostingClassifier:
    return GradientBoostingClassifier(n_estimators=200, max_depth=3, random_state=SEED)


def _logistic_regression() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.5, random_state=SEED))


def _perceptron() -> Any:
    layers = MLPClassifier(hidden_layer_sizes=(64, 32), alpha=1e-3, max_iter=400, random_state=SEED)
    return make_pipeline(StandardScaler(), layers)


RECIPES = (
    Recipe("breast-cancer", 1, load_breast_cancer, _logistic_regression),
    Recipe("breast-cancer", 2, load_breast_cancer, _boosted_trees),
    Recipe("digits", 1, load_digits, _perceptron),
)


def split(load: Callable[[], Any]) -> Split:
    """Cut one of scikit-learn's data sets, the same way every time, classes in proportion."""
    bunch = load()
    train, held_out, train_target, held_out_target = train_test_split(
        bunch.data.astype(np.float32),
        bunch.target.astype(np.int64),
        test_size=HELD_OUT_ROWS,
        random_state=SEED,
        stratify=bunch.target,
    )
    names = tuple(str(name).replace(" ", "_") for name in bunch.feature_names)
    return Split(names, train, train_target, held_out, held_out_target)


def train() -> Iterator[Trained]:
    """Fit every recipe; one BLAS thread, because more would add in a different order each time."""
    with threadpool_limits(1):
        for recipe in RECIPES:
            data = split(recipe.load)
            estimator = recipe.estimator().fit(data.train, data.train_target)
            yield Trained(recipe.name, recipe.version, data, estimator)


def provenance(model: Trained) -> dict[str, str]:
    """What a reader of the file alone should know: data, code and held-out metrics."""
    data, estimator = model.split, model.estimator
    last_step = estimator[-1] if hasattr(estimator, "steps") else estimator
    return {
        "estimator": type(last_step).__name__,
        "scikit_learn_version": sklearn.__version__,
        "feature_names": json.dumps(data.feature_names),
        "training_rows": str(len(data.train)),
        "training_data_sha256": data.digest,
        "held_out_rows": str(len(data.held_out)),
        "held_out_accuracy": str(
            accuracy_score(data.held_out_target, estimator.predict(data.held_out))
        ),
        "held_out_log_loss": str(
            log_loss(data.held_out_target, estimator.predict_proba(data.held_out))
        ),
    }


def export(model: Trained) -> ModelProto:
    """Turn a fitted estimator into ONNX, with its provenance inside."""
    onnx_model: ModelProto = to_onnx(
        model.estimator,
        name=model.name,
        initial_types=[("features", FloatTensorType([None, len(model.split.feature_names)]))],
        options={"zipmap": False},  # probabilities as one tensor, not as a list of maps
        target_opset=OPSETS,
    )
    onnx_model.opset_import.sort(key=lambda opset: opset.domain)  # the converter's order varies
    onnx_model.model_version = model.version
    helper.set_model_props(onnx_model, provenance(model))
    checker.check_model(onnx_model, full_check=True)
    return onnx_model


def write_rows(path: Path, data: Split) -> None:
    """Write the held-out rows; shortest decimals that read back as the same float32."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*data.feature_names, "target"])
        for row, target in zip(data.held_out, data.held_out_target, strict=True):
            decimals = (np.format_float_positional(value, trim="-") for value in row)
            writer.writerow([*decimals, target])


def write(models: Iterable[Trained], output: Path) -> None:
    """Write models and their held-out rows, and say how good they are."""
    (output / "data").mkdir(parents=True, exist_ok=True)
    for model in models:
        path = output / "registry" / model.name / str(model.version) / "model.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(export(model).SerializeToString(deterministic=True))
        write_rows(output / "data" / f"{model.name}.csv", model.split)
        facts = provenance(model)
        print(
            f"{model.name} {model.version}: {facts['estimator']}, "
            f"accuracy {float(facts['held_out_accuracy']):.3f} "
            f"on {facts['held_out_rows']} held-out rows, {path.stat().st_size / 1024:.0f} KiB"
        )


def main() -> None:
    """Train everything and say how good it is."""
    parser = argparse.ArgumentParser(description="Train the example models.")
    parser.add_argument("--output", type=Path, default=HERE, help="where registry/ and data/ go")
    write(train(), parser.parse_args().output)


if __name__ == "__main__":
    main()
