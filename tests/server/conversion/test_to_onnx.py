"""`penstock push … --to onnx`: published only if both models agree at the given rows."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from penstock.runtimes.contract import LoadOptions
from penstock.runtimes.onnx import OnnxRuntime
from penstock.server.cli.main import main
from penstock.server.registry.verification import read_manifest

LOADS = {"binary": load_breast_cancer, "multiclass": load_wine, "regression": load_diabetes}


@pytest.fixture
def push(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Convert and push a file; the exit status, what was printed, and what was published."""

    def one(source: Path, rows: Any, *options: str) -> tuple[int, str, list[str]]:
        path = tmp_path / "rows.csv"
        pd.DataFrame(rows).to_csv(path, index=False, float_format="%.17g")
        registry = tmp_path / "registry"
        where = ("push", str(registry), "m", str(source))
        status = main([*where, "--to", "onnx", "--parity", str(path), *options])
        shown = capsys.readouterr()
        left = [one.name for one in registry.rglob("*")] if registry.exists() else []
        return status, shown.out + shown.err, left

    return one


def published(tmp_path: Path, *inputs: Any) -> list[Any]:
    path = tmp_path / "registry" / "m" / "1" / "model.onnx"
    model = OnnxRuntime().load(path, LoadOptions())
    return model.execute(inputs, [one.name for one in model.signature.outputs])


def xgboost_file(path: Path, kind: str, *, suffix: str = ".ubj") -> tuple[Path, Any]:
    table, target = LOADS[kind](return_X_y=True, as_frame=True)
    objective = {"binary": "binary:logistic", "multiclass": "multi:softprob"}.get(kind)
    options = {"objective": objective or "reg:squarederror", "max_depth": 3}
    if kind == "multiclass":
        options["num_class"] = 3
    table = table.rename(columns={table.columns[0]: "first column"})
    booster = xgboost.train(options, xgboost.DMatrix(table, target), 8)
    booster.save_model(path / f"model{suffix}")
    return path / f"model{suffix}", table


def lightgbm_file(path: Path, kind: str) -> tuple[Path, Any]:
    table, target = LOADS[kind](return_X_y=True)
    options: dict[str, Any] = {"objective": kind, "verbose": -1, "num_threads": 1}
    if kind == "multiclass":
        options["num_class"] = 3
    booster = lightgbm.train(options, lightgbm.Dataset(table, target), 8)
    booster.save_model(path / "model.txt")
    return path / "model.txt", table


@pytest.mark.parametrize("kind", LOADS)
@pytest.mark.parametrize("make", [xgboost_file, lightgbm_file])
def test_boosters_are_converted_and_published(
    push: Any, tmp_path: Path, make: Any, kind: str
) -> None:
    source, table = make(tmp_path, kind)
    # Values as a client of the ONNX model sends them.
    rows = pd.DataFrame(table).astype(np.float32).astype(np.float64)
    status, shown, _ = push(source, rows)
    assert status == 0, shown
    assert "worst relative" in shown
    manifest = read_manifest(tmp_path / "registry" / "m" / "1")
    assert manifest is not None
    assert manifest.metadata["converted_from"] == source.name
    assert manifest.signature is not None
    assert manifest.signature.batch_axis


def test_a_json_file_of_xgboost_is_one_too(push: Any, tmp_path: Path) -> None:
    source, table = xgboost_file(tmp_path, "binary", suffix=".json")
    assert push(source, table.astype(np.float32))[0] == 0


def ids() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Whole numbers beyond those of float32, of which the odd ones are of another class."""
    numbers = np.arange(2**24, 2**24 + 64, dtype=np.float64)
    return np.repeat(numbers, 8)[:, None], np.repeat((numbers > 2**24 + 32.5).astype(int), 8)


def test_thresholds_that_float32_cannot_tell_apart_are_found_and_nothing_is_left(
    push: Any, tmp_path: Path
) -> None:
    numbers, classes = ids()
    options = {"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_bin": 1}
    data = lightgbm.Dataset(numbers, classes, params={"max_bin": 1024, "min_data_in_bin": 1})
    lightgbm.train({**options, "max_bin": 1024}, data, 20).save_model(tmp_path / "ids.txt")
    status, shown, left = push(tmp_path / "ids.txt", numbers)
    assert (status, left) == (1, [])
    assert "does not answer as the original, so it is not published" in shown
    assert "(first: row " in shown


def test_the_same_trap_in_a_pickle_of_scikit_learn(push: Any, tmp_path: Path) -> None:
    numbers, classes = ids()
    model = HistGradientBoostingClassifier(max_bins=255, early_stopping=False, max_iter=20)
    joblib.dump(model.fit(numbers, classes), tmp_path / "ids.joblib")
    status, shown, left = push(tmp_path / "ids.joblib", numbers, "--allow-pickle")
    assert (status, left) == (1, []), shown


class Trap:
    """Leaves a file where it is opened."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


@pytest.mark.parametrize("suffix", [".pkl", ".pickle", ".joblib"])
def test_a_pickle_is_opened_only_if_its_owner_says_so(
    push: Any, tmp_path: Path, suffix: str
) -> None:
    source, mark = tmp_path / f"m{suffix}", tmp_path / "opened"
    source.write_bytes(pickle.dumps(Trap(mark)))
    status, shown, left = push(source, [[1.0]])
    assert (status, left, mark.exists()) == (1, [], False)
    assert "runs whatever code is in it" in shown
    assert "--allow-pickle" in shown
    status, shown, left = push(source, [[1.0]], "--allow-pickle")
    assert (status, left, mark.exists()) == (1, [], True)
    assert "expected an estimator" in shown


def test_a_classifier_of_scikit_learn_is_published_from_a_pickle(push: Any, tmp_path: Path) -> None:
    table, target = load_wine(return_X_y=True)
    names = np.array(["barolo", "grignolino", "barbera"])[target]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(table, names)
    (tmp_path / "wine.pkl").write_bytes(pickle.dumps(model))
    status, shown, _ = push(tmp_path / "wine.pkl", table, "--allow-pickle")
    assert status == 0, shown
    label, scores = published(tmp_path, table.astype(np.float32))
    assert [one.decode() for one in label] == list(model.predict(table))
    np.testing.assert_allclose(scores, model.predict_proba(table), rtol=1e-3, atol=1e-5)


def test_columns_of_texts_become_inputs_of_their_own(push: Any, tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"city": ["Oslo", "Bergen", "Oslo", "Tromso"] * 5, "age": np.arange(20, dtype=float)}
    )
    target = (table.city == "Oslo").to_numpy() & (table.age > 6).to_numpy()
    encoder = ColumnTransformer(
        [("c", OneHotEncoder(handle_unknown="ignore"), ["city"]), ("n", StandardScaler(), ["age"])]
    )
    model = make_pipeline(encoder, GradientBoostingClassifier(n_estimators=5)).fit(table, target)
    joblib.dump(model, tmp_path / "m.joblib")
    status, shown, _ = push(tmp_path / "m.joblib", table[["age", "city"]], "--allow-pickle")
    assert status == 0, shown
    manifest = read_manifest(tmp_path / "registry" / "m" / "1")
    assert manifest is not None
    assert manifest.signature is not None
    given = [(one.name, one.datatype) for one in manifest.signature.inputs]
    assert given == [("city", "BYTES"), ("age", "FP32")]


def test_a_regression_is_compared_by_its_values(push: Any, tmp_path: Path) -> None:
    table, target = load_diabetes(return_X_y=True)
    joblib.dump(LinearRegression().fit(table, target), tmp_path / "m.joblib")
    status, shown, _ = push(tmp_path / "m.joblib", table[:50], "--allow-pickle")
    assert status == 0, shown


@pytest.mark.parametrize(
    ("name", "content", "rows", "status", "message"),
    [
        ("m.h5", b"x", [[1.0]], 1, "expected a file of XGBoost"),
        ("m.ubj", b"no model", [[1.0]], 1, "m.ubj cannot be opened"),
        ("m.txt", b"no model", [[1.0]], 1, "m.txt cannot be opened"),
    ],
)
def test_what_cannot_be_converted_is_said(
    push: Any,
    tmp_path: Path,
    name: str,
    content: bytes,
    rows: Any,
    status: int,
    message: str,
) -> None:
    (tmp_path / name).write_bytes(content)
    got, shown, left = push(tmp_path / name, rows)
    assert (got, message in shown, left) == (status, True, []), shown


def test_rows_of_another_model_are_refused(push: Any, tmp_path: Path) -> None:
    source, table = lightgbm_file(tmp_path, "binary")
    status, shown, left = push(source, table[:, :7])
    assert (status, left) == (1, [])
    assert "has 7 columns, and the model has 30" in shown


def test_rows_are_needed_and_only_for_a_conversion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["push", str(tmp_path / "registry"), "m", str(tmp_path / "m.txt")]
    assert main([*where, "--to", "onnx"]) == 2
    assert "--to onnx needs --parity ROWS" in capsys.readouterr().err
    assert main([*where, "--allow-pickle"]) == 2
    assert "are for --to onnx" in capsys.readouterr().err
