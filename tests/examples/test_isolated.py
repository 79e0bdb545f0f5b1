"""The examples that run in processes of their own, served as rows with names are sent to them."""

from __future__ import annotations

import csv
import http.client
import json
import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import skops.io

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Ask = Callable[[str, list[dict[str, Any]]], tuple[int, Any]]

pytestmark = pytest.mark.slow

TEXTS = {"sex", "smoker", "day", "time"}


@pytest.fixture(scope="module")
def ask(demo: Any, examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Asks a server of the examples, whose operator allows the one that is code."""
    registry = shutil.copytree(examples / "isolated", tmp_path_factory.mktemp("isolated") / "r")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENSTOCK_ALLOW_CODE", "wine-neighbours")
        with demo.served(registry, demo.free_port(0)) as server:
            server.wait_until_ready()
            connection = http.client.HTTPConnection(demo.HOST, server.port, timeout=60)
            with closing(connection):

                def send(model: str, rows: list[dict[str, Any]]) -> tuple[int, Any]:
                    body = json.dumps({"instances": rows})
                    connection.request("POST", f"/v1/models/{model}:predict", body)
                    answer = connection.getresponse()
                    return answer.status, json.loads(answer.read())

                yield send


def held_out(examples: Path, name: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows by name, ``None`` where a value is missing, and the truth of each."""
    with (examples / "data" / f"{name}.csv").open(newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    truth = [row.pop("target") for row in rows]
    for row in rows:
        row.update(
            {
                key: (value if key in TEXTS else float(value)) if value else None
                for key, value in row.items()
            }
        )
    return rows, truth


def test_a_pipeline_of_scikit_learn_answers_as_the_estimator(ask: Ask, examples: Path) -> None:
    rows, truth = held_out(examples, "tips")
    assert any(None in row.values() for row in rows)
    status, answer = ask("tips", rows)
    assert status == 200, answer
    path = examples / "isolated" / "tips" / "1" / "model.skops"
    estimator = skops.io.load(path, trusted=["numpy.dtype"])
    table = pd.DataFrame(rows).replace({None: np.nan})
    table = table.astype({"total_bill": np.float64, "size": np.float64})
    found = np.array([one["value"] for one in answer["predictions"]])
    np.testing.assert_array_equal(found, estimator.predict(table))
    assert np.mean(np.abs(found - np.array(truth, float))) < 1.0  # dollars


def test_a_text_that_the_model_never_saw_is_refused_by_name(ask: Ask, examples: Path) -> None:
    row = held_out(examples, "tips")[0][0] | {"day": "Monday"}
    status, answer = ask("tips", [row])
    assert status == 400
    assert "'day'" in answer["error"]
    assert "'Monday'" in answer["error"]


def test_python_code_reads_the_data_beside_it(ask: Ask, examples: Path) -> None:
    rows, truth = held_out(examples, "wine")
    status, answer = ask("wine-neighbours", rows)
    assert status == 200, answer
    predictions = answer["predictions"]
    assert np.mean([one["label"] == true for one, true in zip(predictions, truth, strict=True)]) > (
        0.9
    )
    growers = {"first grower", "second grower", "third grower"}
    for one in predictions:
        assert one["probabilities"].keys() == growers
        assert one["probabilities"][one["label"]] == max(one["probabilities"].values())
