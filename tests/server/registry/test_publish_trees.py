"""``penstock push`` of model files that are not ONNX, and how they are served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pytest
import xgboost

from penstock.runtimes.library import Library
from penstock.runtimes.xgboost.runtime import XgboostRuntime
from penstock.server.cli.main import main

X = np.random.default_rng(1).uniform(size=(60, 3))
Y = (X[:, 0] > 0.5).astype(int)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model of each kind, in files that are named in many ways."""
    root = tmp_path_factory.mktemp("files")
    boosted = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(X, Y)
    boosted.save_model(root / "churn.ubj")
    boosted.save_model(root / "churn.json")
    (root / "churn.model").write_bytes((root / "churn.ubj").read_bytes())
    light = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, min_child_samples=2).fit(X, Y)
    light.booster_.save_model(root / "light.txt")
    (root / "light.lgb").write_bytes((root / "light.txt").read_bytes())
    cat = catboost.CatBoostClassifier(iterations=3, verbose=0, allow_writing_files=False).fit(X, Y)
    cat.save_model(str(root / "cat.cbm"))
    (root / "cat.cb").write_bytes((root / "cat.cbm").read_bytes())
    return root


def push(*arguments: object) -> int:
    return main(["push", *map(str, arguments)])


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("churn.ubj", "model.ubj"),
        ("churn.json", "model.json"),
        ("churn.model", "model.ubj"),
        ("light.txt", "model.txt"),
        ("light.lgb", "model.txt"),
        ("cat.cbm", "model.cbm"),
        ("cat.cb", "model.cbm"),
    ],
)
def test_a_file_of_a_known_kind_is_published(
    files: Path, tmp_path: Path, file: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push(tmp_path, "m", files / file) == 0, capsys.readouterr().err
    version = tmp_path / "m" / "1"
    assert sorted(one.name for one in version.iterdir()) == ["manifest.json", name]
    manifest = json.loads((version / "manifest.json").read_text())
    assert [one["name"] for one in manifest["signature"]["outputs"]] == ["label", "probabilities"]


def test_columns_and_classes_are_published_and_served(
    files: Path, tmp_path: Path, live_server: Any
) -> None:
    table = tmp_path / "train.csv"
    table.write_text("age;home city;income\n1;2;3\n")
    named = ("--columns", table, "--classes", "stays,leaves")
    for model, file in (("xgboost", "churn.ubj"), ("lightgbm", "light.txt")):
        assert push(tmp_path / "r", model, files / file, *named) == 0
    row = dict(zip(("income", "age", "home city"), (X[0, 2], X[0, 0], X[0, 1]), strict=True))
    body = json.dumps({"instances": [row]}).encode()
    with live_server(tmp_path / "r", state_dir=str(tmp_path / "state")) as server:
        for model in ("xgboost", "lightgbm"):
            head = f"POST /v1/models/{model}:predict HTTP/1.1\r\nhost: x\r\n"
            answer = server.ask(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            assert answer.status == 200, answer
            (found,) = json.loads(answer.body)["predictions"]
            assert found["label"] == ("stays", "leaves")[Y[0]]
            assert found["probabilities"].keys() == {"stays", "leaves"}
            described = server.ask(f"GET /v2/models/{model} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            (features,) = json.loads(described.body)["inputs"]
            columns = [one["name"] for one in features["parameters"]["columns"]]
            assert columns == ["age", "home city", "income"]


def test_an_onnx_label_that_is_a_position_is_answered_by_the_name_of_its_class(
    tmp_path: Path, live_server: Any
) -> None:
    model = Path(__file__).parents[3] / "examples" / "registry" / "breast-cancer" / "1"
    named = ("--classes", "malignant,benign")
    assert push(tmp_path / "r", "m", model / "model.onnx", *named) == 0
    rows = np.abs(np.random.default_rng(1).normal(size=(20, 30)) * 50).tolist()
    body = json.dumps({"instances": rows}).encode()
    with live_server(tmp_path / "r", state_dir=str(tmp_path / "state")) as server:
        head = f"POST /v1/models/m:predict HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}"
        answer = server.ask(f"{head}\r\n\r\n".encode() + body)
        found = json.loads(answer.body)["predictions"]
        for one in found:
            assert one["label"] == max(one["probabilities"], key=one["probabilities"].get)
        assert {one["label"] for one in found} == {"malignant", "benign"}


def test_names_that_do_not_fit_publish_nothing(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.json").write_text('["age"]')
    for arguments, words in (
        (("--columns", tmp_path / "c.json"), "the model has 3 columns, and 1 are named"),
        (("--classes", "a,b,c"), "3 classes are named, and an output has 2"),
        (("--classes", "a,b", "--no-load"), "are checked by loading the model"),
    ):
        assert push(tmp_path / "r", "m", files / "churn.ubj", *arguments) == 1
        assert words in capsys.readouterr().err
    assert not (tmp_path / "r" / "m").exists()


def test_a_missing_library_is_told_by_push_and_by_the_server(
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    live_server: Any,
) -> None:
    missing = Library("no_such_xgboost", "xgboost", ("no-such-xgboost",))
    monkeypatch.setattr(XgboostRuntime, "library", missing)
    command = "pip install 'penstock-server[xgboost]'"
    assert push(tmp_path / "r", "m", files / "churn.ubj") == 1
    assert command in capsys.readouterr().err
    assert push(tmp_path / "r", "m", files / "churn.ubj", "--no-load") == 0
    with live_server(tmp_path / "r", state_dir=str(tmp_path / "state")) as server:
        listed = server.ask(b"GET /v2/models HTTP/1.1\r\nhost: x\r\n\r\n")
        (version,) = json.loads(listed.body)
        assert command in version["reason"]


def test_an_mlflow_model_of_trees_is_published_with_its_columns(
    files: Path, tmp_path: Path
) -> None:
    logged = tmp_path / "logged"
    logged.mkdir()
    (logged / "model.xgb").write_bytes((files / "churn.ubj").read_bytes())
    inputs = [{"name": one, "type": "double", "required": True} for one in ("a", "b c", "d")]
    (logged / "MLmodel").write_text(
        "flavors:\n  xgboost: {data: model.xgb, model_class: xgboost.sklearn.XGBClassifier}\n"
        f"run_id: abc\nsignature:\n  inputs: '{json.dumps(inputs)}'\n"
    )
    assert push(tmp_path / "r", "m", logged) == 0
    manifest = json.loads((tmp_path / "r" / "m" / "1" / "manifest.json").read_text())
    (features,) = manifest["signature"]["inputs"]
    assert [one["name"] for one in features["columns"]] == ["a", "b c", "d"]
    assert manifest["run"]["run_id"] == "abc"
