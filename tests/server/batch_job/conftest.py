"""A running server with small models, and jobs on it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xgboost
from onnx import numpy_helper

from penstock.server.batch_job.batch_job import BatchJob, Order
from penstock.server.batch_job.prediction_port import PredictionPort


@pytest.fixture(scope="package")
def registry(tmp_path_factory, onnx_file):
    """By columns: ``sum`` of a and b, ``person`` with categories; ``matrix`` without names.

    ``row`` gives the number at a position from 0 to 3, and fails for all others.
    """
    root = tmp_path_factory.mktemp("batch")
    pair = [(name, "FLOAT", ["n", 1]) for name in "ab"]
    onnx_file(
        root / "sum" / "1" / "model.onnx", [("Add", ["a", "b"], ["sum"])], pair,
        [("sum", "FLOAT", ["n", 1])],
    )  # fmt: skip
    onnx_file(
        root / "sum" / "2" / "model.onnx", [("Mul", ["a", "b"], ["sum"])], pair,
        [("sum", "FLOAT", ["n", 1])],
    )  # fmt: skip
    onnx_file(
        root / "matrix" / "1" / "model.onnx", [("Identity", ["x"], ["y"])],
        [("x", "FLOAT", ["n", 3])], [("y", "FLOAT", ["n", 3])],
    )  # fmt: skip
    onnx_file(
        root / "texts" / "1" / "model.onnx", [("Identity", ["t"], ["same"])],
        [("t", "STRING", ["n"])], [("same", "STRING", ["n"])],
    )  # fmt: skip
    table = numpy_helper.from_array(np.array([5, 6, 7, 8], np.float32), "table")
    onnx_file(
        root / "row" / "1" / "model.onnx", [("Gather", ["table", "i"], ["y"])],
        [("i", "INT64", ["n"])], [("y", "FLOAT", ["n"])], [table],
    )  # fmt: skip
    people = pd.DataFrame(
        {
            "age": [31.0, 52.0, 23.0, 44.0] * 8,
            "city": pd.Categorical(["Oslo", "Rome", "Oslo", "Bern"] * 8),
            "income": [1.0, np.nan, 3.0, 4.0] * 8,
        }
    )
    model = xgboost.XGBClassifier(n_estimators=3, enable_categorical=True, n_jobs=1)
    model.fit(people, [0, 1, 2, 1] * 8)
    (root / "person" / "1").mkdir(parents=True)
    model.save_model(root / "person" / "1" / "model.ubj")
    return root


@pytest.fixture(scope="package")
def server(live_server, registry):
    with live_server(registry, threads=1) as running:
        yield running


@pytest.fixture
def job(server, tmp_path):
    """Runs a job; gives its outcome, its output, and what it told people."""

    def run(model, source, output="out.csv", version=None, part_rows=1 << 16, **options):
        told, done = [], []
        order = Order(model, version, source, tmp_path / output, **options)
        made = BatchJob(order, PredictionPort(server.url, ""), told.append, part_rows)
        outcome = made.run(done.append)
        assert sum(done) == outcome.rows
        assert not list(tmp_path.glob(".*")), "nothing is left of the work"
        return SimpleNamespace(path=order.output, told=told, outcome=outcome)

    return run
