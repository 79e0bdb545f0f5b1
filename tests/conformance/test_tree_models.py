"""Trees served by their own libraries: answers are those of the libraries, bit by bit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `row_clients` and `tree_models`

from row_clients import predict, predict_at_once, values_of
from tree_models import models

from penstock.runtimes.discovery import find_runtime
from penstock.runtimes.testing import check_runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 10_000
NAMES = [
    f"{library}-{kind}"
    for library in ("xgboost", "lightgbm", "catboost")
    for kind in ("binary", "multiclass", "regression", "ranking")
]


def model_named(name: str) -> Any:
    return next(one for one in models(ROWS) if one.name == name)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trees")
    for model in models(ROWS):
        model.write(root / model.name / "1")
    return root


@pytest.fixture(scope="module", params=["fast", "asgi"])
def server(request: pytest.FixtureRequest, registry: Path, live_server: Any) -> Iterator[Any]:
    with live_server(registry, request.param) as server:
        yield server


def check(model: Any, predictions: list[Any]) -> None:
    expected = model.expected(model.rows)
    assert predictions[0].keys() == expected.keys()
    for name, values in expected.items():
        right = np.asarray(values)
        found = values_of(name, predictions).astype(right.dtype)
        assert found.shape == right.shape
        assert (found == right).all(), f"{name} differs in {(found != right).sum()} places"


@pytest.mark.parametrize("name", NAMES)
def test_one_client_gets_what_the_library_predicts(server: Any, name: str) -> None:
    model = model_named(name)
    records = model.records
    step = ROWS // 10
    with server.connect() as client:
        parts = [predict(client, name, records[at : at + step]) for at in range(0, ROWS, step)]
    check(model, [one for part in parts for one in part])


@pytest.mark.parametrize("server", ["fast"], indirect=True)
@pytest.mark.parametrize("name", NAMES)
def test_64_clients_at_once_get_what_the_library_predicts(server: Any, name: str) -> None:
    model = model_named(name)
    check(model, predict_at_once(server, name, model.records))


@pytest.mark.parametrize("name", NAMES)
def test_a_runtime_keeps_the_promises_of_the_contract(registry: Path, name: str) -> None:
    directory = registry / name / "1"
    runtime, path = find_runtime(directory)
    assert (runtime.platform, path.name) == (name.partition("-")[0], model_named(name).file)
    check_runtime(runtime, directory)
