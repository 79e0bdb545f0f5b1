"""Pipelines behind both front ends: the answers are those of the steps by hand."""

from __future__ import annotations

import http.client
import json
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from penstock.monitoring.metrics.merge import snapshot
from penstock.monitoring.metrics.request_figures import request_figures

from .conftest import DIAMOND, Asker, add_pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLIENTS = 16
REQUESTS = 25

PICK = """
[[steps]]
name = "first"
model = "pick"
version = 1
inputs = {index = "request.index"}

[[steps]]
name = "second"
model = "pick"
version = 1
inputs = {index = "request.other"}

[outputs]
first = "first.value"
second = "second.value"
"""


@pytest.fixture(scope="module")
def registry(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pipelines") / "registry"
    shutil.copytree(models, root)
    add_pipeline(root, "diamond", DIAMOND)
    add_pipeline(root, "picks", PICK)
    return root


@pytest.fixture(scope="module", params=["fast", "asgi"])
def server(request: pytest.FixtureRequest, registry: Path, live_server: Any) -> Iterator[Any]:
    with live_server(registry, request.param, threads=2) as started:
        yield started


@pytest.fixture
def asker(server: Any) -> Iterator[Asker]:
    one = Asker(server.port)
    yield one
    one.close()


def by_hand(asker: Asker, features: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The answer of the diamond by one request for each step."""
    left = asker.ask("scale/versions/1", {"x": features})["y"]
    right = asker.ask("scale/versions/2", {"x": features})["y"]
    joined = asker.ask("join", {"a": left, "b": right})
    last = asker.ask("scale/versions/1", {"x": joined["sum"]})["y"]
    return {"total": joined["total"], "scaled": last, "half": left}


def test_answers_equal_the_steps_by_hand_from_many_clients(server: Any) -> None:
    """Rows, outputs and the mixture with direct requests vary; each row belongs to its request."""

    def client(seed: int) -> None:
        generator = np.random.default_rng(seed)
        choose = random.Random(seed)
        asker = Asker(server.port)
        for _ in range(REQUESTS):
            rows = choose.choice([1, 1, 1, 2, 5, 64, 150])
            features = generator.standard_normal((rows, 3)).astype(np.float32)
            right = by_hand(asker, features)
            names = choose.choice([("total", "scaled", "half"), ("scaled",), ("half", "total")])
            asked = () if len(names) == len(right) else names
            given = asker.ask("diamond", {"features": features}, asked)
            assert tuple(given) == names
            for name in names:
                assert given[name].tobytes() == right[name].tobytes(), (name, rows)
        asker.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))


def test_the_model_of_golden_requests_answers_like_the_scheduler(server: Any, asker: Asker) -> None:
    model = server.app.engine.catalog.models["diamond"].default.model
    features = np.random.default_rng(0).standard_normal((37, 3)).astype(np.float32)
    names = [output.name for output in model.signature.outputs]
    given = asker.ask("diamond", {"features": features})
    for name, array in zip(names, model.execute([features], names), strict=True):
        assert given[name].tobytes() == array.tobytes()


def test_metadata_shows_the_signature_and_the_versions_of_the_steps(server: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/v2/models/diamond")
    document = json.loads(connection.getresponse().read())
    connection.close()
    assert document["platform"] == "pipeline"
    assert document["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 3]}]
    assert [one["name"] for one in document["outputs"]] == ["total", "scaled", "half"]
    assert document["parameters"]["batching_reason"] == "each step is batched on its own"


def test_a_request_without_rows_has_an_answer_without_rows(asker: Asker) -> None:
    given = asker.ask("diamond", {"features": np.zeros((0, 3), np.float32)})
    assert {name: one.shape for name, one in given.items()} == {
        "total": (0, 1),
        "scaled": (0, 3),
        "half": (0, 3),
    }


def test_an_error_names_the_step_and_its_version(asker: Asker) -> None:
    good, bad = np.array([[3]]), np.array([[1 << 40]])
    status, document = asker.raw("picks", {"index": good, "other": bad})
    assert status == 400
    assert document["error"].startswith("step 'second' (model 'pick' version 1): ")
    given = asker.ask("picks", {"index": good, "other": good})
    assert given["first"].tolist() == given["second"].tolist() == [[3.0]]


def test_only_the_request_with_bad_rows_fails(server: Any) -> None:
    """Failing and sound requests share runs of one step."""

    def client(seed: int) -> None:
        asker = Asker(server.port)
        for i in range(REQUESTS):
            value = np.array([[(seed + i) % 8]])
            bad = (seed + i) % 3 == 0
            other = np.array([[1 << 40]]) if bad else value
            status, document = asker.raw("picks", {"index": value, "other": other})
            assert status == (400 if bad else 200)
            if not bad:
                assert [one["data"] for one in document["outputs"]] == [[value.item()]] * 2
        asker.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(client, range(8)))


def test_wrong_inputs_are_refused_as_for_any_model(asker: Asker) -> None:
    status, document = asker.raw("diamond", {"features": np.zeros((1, 4), np.float32)})
    assert (status, "expected [-1, 3]" in document["error"]) == (400, True)
    status, document = asker.raw("diamond", {"x": np.zeros((1, 3), np.float32)})
    assert (status, "unknown input" in document["error"]) == (400, True)


def test_the_figures_of_the_pipeline_count_its_requests(server: Any, asker: Asker) -> None:
    def figures() -> dict[str, tuple[int, int]]:
        """Answers of 200, and rows that were run."""
        models = {one.name: one for one in server.app.engine._scheduler._models}
        assert models["diamond"].waiting_rows == 0
        blocks = snapshot(server.app.engine.counters).blocks
        found = {name: request_figures(blocks[name, "1"]) for name in ("diamond", "scale")}
        return {name: (one.succeeded, one.rows) for name, one in found.items()}

    before = server.on_loop(figures)
    for _ in range(5):
        asker.ask("diamond", {"features": np.ones((2, 3), np.float32)})
    after = server.on_loop(figures)
    for key, added in (("diamond", (5, 10)), ("scale", (0, 20))):
        assert tuple(np.subtract(after[key], before[key])) == added
