"""What the arguments of ``penstock push`` mean."""

from __future__ import annotations

import pytest

from penstock.server.cli.command_failed import CommandFailed
from penstock.server.cli.exits import Exit
from penstock.server.cli.push_mlflow import FileSource, MlflowSource, push_source

URI = "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    ("arguments", "means"),
    [
        (("models", "m", "model.onnx"), FileSource("models", "m", "model.onnx")),
        (
            ("models", "models:/churn@champion", None),
            MlflowSource("models", "churn", URI, "churn", "champion", ""),
        ),
        (
            ("s3://b/models", "served", "models:/my churn/3"),
            MlflowSource("s3://b/models", "served", URI, "my churn", "", "3"),
        ),
        (
            ("models:/churn/12", None, None),
            MlflowSource("own", "churn", URI, "churn", "", "12"),
        ),
    ],
)
def test_an_address_of_mlflow_may_stand_for_the_model_and_the_registry(
    arguments, means, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "penstock.toml").write_text('registry = "own"\n')
    assert push_source(*arguments, URI) == means


@pytest.mark.parametrize(
    ("arguments", "uri", "told"),
    [
        (("models", "m", None), URI, "expected REGISTRY MODEL FILE"),
        (("models", None, None), URI, "expected REGISTRY MODEL FILE"),
        (("models", "models:/churn", None), URI, "models:/NAME@ALIAS or models:/NAME/VERSION"),
        (("models", "models:/churn/latest", None), URI, "where VERSION is a number"),
        (("models", "models:/churn@a", None), "", "MLFLOW_TRACKING_URI in the environment"),
        (("models", "models:/churn@a", None), "http://ann:pw@m", "MLFLOW_TRACKING_PASSWORD"),
        (("models:/churn@a", None, None), URI, "no registry is given"),
    ],
)
def test_a_mistake_is_told_with_what_was_expected(arguments, uri, told, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("PENSTOCK_REGISTRY", "PENSTOCK_STORE", "PENSTOCK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CommandFailed) as raised:
        push_source(*arguments, uri)
    assert raised.value.status is Exit.USAGE
    assert told in str(raised.value)
    assert "pw" not in str(raised.value)
