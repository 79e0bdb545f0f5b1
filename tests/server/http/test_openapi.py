"""The OpenAPI document is valid, and what it shows works when it is sent."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

Make = "Callable[..., bytes]"


@pytest.fixture
def document(fast: Any, get: Make) -> Any:
    return json.loads(fast.ask(get("/openapi.json")).body)


def content_of(part: Any) -> Any:
    return part["content"]["application/json"]


def test_the_document_is_valid(document: Any, check_openapi: Any) -> None:
    check_openapi(document)
    operations = [op["post"]["operationId"] for op in document["paths"].values() if "post" in op]
    assert len(set(operations)) == len(operations)


def test_every_loaded_version_has_its_path_and_others_have_none(document: Any) -> None:
    infer = {path for path in document["paths"] if path.endswith("/infer")}
    assert {p for p in infer if "/echo/" in p or "/mixed/" in p or "/broken/" in p} == {
        "/v2/models/echo/infer",
        "/v2/models/echo/versions/1/infer",
        "/v2/models/echo/versions/2/infer",
        "/v2/models/mixed/infer",
        "/v2/models/mixed/versions/2/infer",
    }


def test_every_example_works_and_its_answer_is_as_described(
    document: Any, fast: Any, post: Make
) -> None:
    tried = 0
    for path, operations in document["paths"].items():
        if not path.endswith("/infer"):
            continue
        request = content_of(operations["post"]["requestBody"])
        Draft202012Validator(request["schema"]).validate(request["example"])
        answer = fast.ask(post(path, json.dumps(request["example"]).encode()))
        assert answer.status == 200, (path, answer)
        response = content_of(operations["post"]["responses"]["200"])
        Draft202012Validator(response["schema"]).validate(json.loads(answer.body))
        tried += 1
    assert tried > 30


def test_wrong_requests_do_not_fit_the_description(document: Any) -> None:
    post = document["paths"]["/v2/models/echo/infer"]["post"]
    validator = Draft202012Validator(content_of(post["requestBody"])["schema"])
    good = content_of(post["requestBody"])["example"]
    assert validator.is_valid(good)
    for change in ({"name": "z"}, {"datatype": "INT64"}, {"shape": [1, 3]}, {"shape": [1]}):
        assert not validator.is_valid({"inputs": [{**good["inputs"][0], **change}]})


def test_described_pages_answer_as_described(document: Any, fast: Any, get: Make) -> None:
    for path, operations in document["paths"].items():
        if "get" in operations:
            status = fast.ask(get(path)).status
            assert str(status) in operations["get"]["responses"]


def test_errors_are_as_described(document: Any, fast: Any, post: Make) -> None:
    schema = document["components"]["schemas"]["Error"]
    Draft202012Validator(schema).validate(json.loads(fast.ask(post("echo", b"")).body))


def test_the_page_finds_what_it_links_to(any_server: Any, get: Make) -> None:
    page = any_server.ask(get("/docs"))
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert b"http://" not in page.body  # nothing is loaded from elsewhere
    assert b"https://" not in page.body
    for path in (b"openapi.json", b"metrics", b"v2/models"):
        assert b'href="%b"' % path in page.body
        assert any_server.ask(get("/" + path.decode())).status == 200


def test_metrics_are_prometheus_text(any_server: Any, get: Make) -> None:
    answer = any_server.ask(get("/metrics"))
    assert answer.headers["content-type"].startswith("text/plain")
    assert b"penstock_" in answer.body


def test_the_description_of_one_model_has_its_paths_alone(
    any_server: Any, get: Make, check_openapi: Any
) -> None:
    found = json.loads(any_server.ask(get("/openapi.json?model=echo")).body)
    check_openapi(found)
    assert {path for path in found["paths"] if "/models/" in path} == {
        "/v1/models/echo:predict",
        "/v2/models/echo",
        "/v2/models/echo/ready",
        "/v2/models/echo/infer",
        "/v2/models/echo/versions/1/infer",
        "/v2/models/echo/versions/2/infer",
    }
    unknown = any_server.ask(get("/openapi.json?model=none"))
    assert unknown.status == 404
    assert b"none" in unknown.body


def test_an_answer_tells_how_long_it_waited_and_ran_if_the_request_asks(
    document: Any, any_server: Any, post: Make
) -> None:
    path = "/v2/models/echo/infer"
    body = json.dumps(content_of(document["paths"][path]["post"]["requestBody"])["example"])
    plain = any_server.ask(post(path, body.encode()))
    assert "server-timing" not in plain.headers
    timed = any_server.ask(post(f"{path}?timing=true", body.encode()))
    assert timed.body == plain.body
    pattern = r"queue;dur=([\d.]+), compute;dur=([\d.]+), total;dur=([\d.]+)"
    queue, compute, total = map(
        float, re.fullmatch(pattern, timed.headers["server-timing"]).groups()
    )
    assert 0 < compute < total < 60_000
    assert queue + compute <= total + 0.002
    asked = post(path, body.encode(), "x-penstock-timing: 1")
    assert re.fullmatch(pattern, any_server.ask(asked).headers["server-timing"])
    # No answer after it does.
    assert "server-timing" not in any_server.ask(post(path, body.encode())).headers
