"""Trees that machine code runs: answers over HTTP are those of the libraries, bit by bit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np
import orjson
import pytest
import xgboost

sys.path.insert(0, str(Path(__file__).parent))  # `row_clients`

from row_clients import predict_at_once, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TREES = Path(__file__).resolve().parents[2] / "examples" / "trees"
ROWS = 5_120


def lightgbm_says(rows: Any) -> dict[str, Any]:
    booster = lightgbm.Booster(model_file=TREES / "diabetes" / "1" / "model.txt")
    return {"value": booster.predict(rows, num_threads=1)}


def xgboost_says(rows: Any) -> dict[str, Any]:
    booster = xgboost.Booster(model_file=TREES / "iris" / "1" / "model.ubj")
    found = booster.inplace_predict(rows.astype(np.float32))
    species = np.array(["setosa", "versicolor", "virginica"])
    return {"label": species[found.argmax(axis=1)], "probabilities": found}


@pytest.fixture(scope="module", params=["fast", "asgi"])
def server(
    request: pytest.FixtureRequest, live_server: Any, tmp_path_factory: Any
) -> Iterator[Any]:
    state = tmp_path_factory.mktemp("state")
    with live_server(TREES, request.param, state_dir=str(state)) as server:
        yield server


def described(server: Any, name: str) -> Any:
    answer = server.ask(f"GET /v2/models/{name} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    return orjson.loads(answer.body)


@pytest.mark.parametrize(("name", "says"), [("diabetes", lightgbm_says), ("iris", xgboost_says)])
def test_64_clients_at_once_get_what_the_library_predicts(
    server: Any, name: str, says: Callable[[Any], dict[str, Any]]
) -> None:
    model = described(server, name)
    assert model["parameters"]["run_by"] == "machine code"
    (tensor,) = model["inputs"]
    dice = np.random.default_rng(4)
    rows = dice.normal(0, 0.05 if name == "diabetes" else 3, (ROWS, tensor["shape"][1]))
    rows = np.abs(rows).astype(np.float32 if name == "iris" else np.float64).astype(np.float64)
    rows[dice.random(rows.shape) < 0.1] = np.nan

    predictions = predict_at_once(server, name, rows.tolist())
    for output, right in says(rows).items():
        found = values_of(output, predictions).astype(right.dtype)
        assert found.tobytes() == right.tobytes(), output
