"""The example models answer as scikit-learn does, and say where they come from."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest

if TYPE_CHECKING:
    from pathlib import Path

MODELS = ("breast-cancer/1", "breast-cancer/2", "digits/1")


def session(content: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in ("registry", "data")
        for path in (root / folder).rglob("*")
        if path.suffix in {".onnx", ".csv"} and ".penstock" not in path.parts  # a server's state
    }


@pytest.mark.parametrize("name", MODELS)
def test_answers_equal_scikit_learn(train: Any, trained: dict[str, Any], name: str) -> None:
    model = trained[name]
    rows = model.split.held_out
    label, probabilities = session(train.export(model).SerializeToString()).run(
        ["label", "probabilities"], {"features": rows}
    )
    assert (label == model.estimator.predict(rows)).all()
    np.testing.assert_allclose(probabilities, model.estimator.predict_proba(rows), atol=1e-5)


def test_training_twice_writes_the_same_bytes(
    train: Any, trained: dict[str, Any], examples: Path, tmp_path: Path
) -> None:
    """Once here, and once in a process whose sets have another order."""
    train.write(trained.values(), tmp_path / "once")
    command = [sys.executable, examples / "train.py", "--output", tmp_path / "twice"]
    seed = str(int(os.environ.get("PYTHONHASHSEED") == "0"))
    hashing = os.environ | {"PYTHONHASHSEED": seed}
    subprocess.run(command, check=True, capture_output=True, env=hashing)
    once, twice = files(tmp_path / "once"), files(tmp_path / "twice")
    assert once == twice
    tables = {f"data/{one}.csv" for one in ("iris", "diabetes", "wine", "tips")}  # train_tables.py
    assert once.keys() == files(examples).keys() - tables


@pytest.mark.parametrize("name", MODELS)
def test_committed_models_are_small_and_say_where_they_come_from(
    examples: Path, trained: dict[str, Any], name: str
) -> None:
    content = (examples / "registry" / name / "model.onnx").read_bytes()
    assert len(content) < 1 << 20
    model = session(content)
    said = model.get_modelmeta().custom_metadata_map
    split = trained[name].split
    assert model.get_modelmeta().version == int(name[-1])
    assert said["training_data_sha256"] == split.digest
    assert said["training_rows"] == str(len(split.train))
    assert json.loads(said["feature_names"]) == list(split.feature_names)
    assert {"estimator", "scikit_learn_version", "held_out_log_loss"} <= said.keys()
    (features,) = model.get_inputs()
    assert (features.name, features.shape[1]) == ("features", len(split.feature_names))
    assert [output.name for output in model.get_outputs()] == ["label", "probabilities"]


@pytest.mark.parametrize("name", MODELS)
def test_committed_rows_are_held_out_and_exact(
    examples: Path, trained: dict[str, Any], name: str
) -> None:
    model, _, _ = name.partition("/")
    with (examples / "data" / f"{model}.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    split = trained[name].split
    values = np.array(rows, dtype=np.float32)
    assert header == [*split.feature_names, "target"]
    assert len(values) >= 200
    np.testing.assert_array_equal(values[:, :-1], split.held_out)
    np.testing.assert_array_equal(values[:, -1], split.held_out_target)
    seen = {row.tobytes() for row in split.train}
    assert not any(row.tobytes() in seen for row in split.held_out)


@pytest.mark.parametrize("name", MODELS)
def test_committed_models_are_as_good_as_scikit_learn_said(examples: Path, name: str) -> None:
    content = (examples / "registry" / name / "model.onnx").read_bytes()
    said = {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}
    with (examples / "data" / f"{name.partition('/')[0]}.csv").open(newline="") as file:
        values = np.array(list(csv.reader(file))[1:], dtype=np.float32)
    (label,) = session(content).run(["label"], {"features": values[:, :-1]})
    assert np.mean(label == values[:, -1]) == float(said["held_out_accuracy"])
