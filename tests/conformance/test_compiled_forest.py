"""Trees that machine code runs: answers over HTTP are those of the libraries, bit by bit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np
import orjson
import pytest
import xgboost

from penstock.runtimes.contract import LoadOptions
from penstock.runtimes.discovery import find_runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TREES = Path(__file__).resolve().parents[2] / "examples" / "trees"
ROWS, CLIENTS, STEP = 5_120, 64, 10


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


def predict(client: Any, name: str, rows: Any) -> list[dict[str, Any]]:
    body = orjson.dumps({"instances": [[None if x != x else x for x in row] for row in rows]})  # noqa: PLR0124  NaN
    head = f"POST /v1/models/{name}:predict HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}"
    answer = client.send(head.encode() + b"\r\n\r\n" + body).answer()
    assert answer.status == 200, answer
    predictions: list[dict[str, Any]] = orjson.loads(answer.body)["predictions"]
    return predictions


@pytest.mark.parametrize(("name", "says"), [("diabetes", lightgbm_says), ("iris", xgboost_says)])
def test_64_clients_at_once_get_what_the_library_predicts(
    server: Any, name: str, says: Callable[[Any], dict[str, Any]]
) -> None:
    runtime, path = find_runtime(TREES / name / "1")
    model = runtime.load(path, LoadOptions())
    assert model.metadata["run_by"] == "machine code"
    (spec,) = model.signature.inputs
    dice = np.random.default_rng(4)
    rows = dice.normal(0, 0.05 if name == "diabetes" else 3, (ROWS, spec.shape[1]))
    rows = np.abs(rows).astype(np.float32 if name == "iris" else np.float64).astype(np.float64)
    rows[dice.random(rows.shape) < 0.1] = np.nan

    def ask(number: int) -> list[tuple[int, list[dict[str, Any]]]]:
        places = range(number * STEP, ROWS, CLIENTS * STEP)
        with server.connect() as client:
            return [(at, predict(client, name, rows[at : at + STEP].tolist())) for at in places]

    with ThreadPoolExecutor(CLIENTS) as pool:
        parts = sorted(
            (part for parts in pool.map(ask, range(CLIENTS)) for part in parts),
            key=lambda one: one[0],
        )
    predictions = [one for _, part in parts for one in part]
    for output, right in says(rows).items():
        values = [one[output] for one in predictions]
        found = np.array([[*one.values()] if isinstance(one, dict) else one for one in values])
        assert found.astype(right.dtype).tobytes() == right.tobytes(), output
