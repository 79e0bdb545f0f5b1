"""Numbers of more digits than Python converts (4,300), wherever a request may hold one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

NINES = "9" * 5000


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        (f"inference-header-content-length: {NINES}", 400, "must be the number of bytes"),
        (f"inference-header-content-length: {'0' * 5000}1", 400, "must be the number of bytes"),
        (f"x-request-timeout-ms: {NINES}", 400, "positive number of milliseconds"),
        (f"x-request-timeout-ms: 0.{NINES}", 504, "deadline"),
        (f"x-penstock-arm: {NINES}", 400, "must be canary or stable"),
        (f"content-encoding: {NINES}", 415, "content-encoding"),
        (f"content-type: application/json; charset={NINES}", 415, "charset"),
        (f"accept-encoding: gzip;q={NINES}", 200, ""),
        (f"if-match: {NINES}", 200, ""),
    ],
)
def test_in_the_headers_of_a_prediction(
    any_server: Any, post: Callable[..., bytes], line: str, status: int, words: str
) -> None:
    with any_server.connect() as client:
        for _ in range(3):
            answer = client.send(post("echo", None, line)).answer()
            assert answer.status in {status, 200 if status == 504 else status}
            assert len(answer.body) < 1000
            if answer.status != 200:
                assert words in json.loads(answer.body)["error"]


@pytest.mark.parametrize("name", ["content-length", "Content-Length"])
def test_as_the_length_of_a_body(
    any_server: Any, post: Callable[..., bytes], get: Callable[..., bytes], name: str
) -> None:
    for raw in (post("echo"), post("/v1/feedback", b"[]"), get("/v2")):
        head, _, body = raw.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.startswith(b"content-length")]
        long = b"\r\n".join([*lines, f"{name}: {NINES}".encode(), b"", body])
        assert any_server.ask(long).status in {400, 413}
    assert any_server.ask(post("echo")).status == 200


def test_in_the_body_of_a_prediction(any_server: Any, post: Callable[..., bytes]) -> None:
    entry = '{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}'
    bodies = [
        f'{{"inputs":[{entry.replace("[1,2]}", f"[1,{NINES}]}}")}]}}',
        f'{{"inputs":[{entry.replace("[1,2],", f"[{NINES},2],")}]}}',
        f'{{"parameters":{{"timeout":{NINES}}},"inputs":[{entry}]}}',
        f'{{"parameters":{{"priority":-{NINES}}},"inputs":[{entry}]}}',
    ]
    for body in bodies:
        answer = any_server.ask(post("echo", body.encode()))
        assert answer.status == 400
        assert len(answer.body) < 500


@pytest.mark.parametrize(
    "accept",
    [
        f"application/openmetrics-text;version={NINES}",
        f"text/plain;version={NINES}.{NINES}",
        f"text/plain;q={NINES}",
        f"text/plain;version=1.{NINES};escaping={NINES}",
    ],
)
def test_in_the_wish_of_a_scraper(any_server: Any, get: Callable[..., bytes], accept: str) -> None:
    answer = any_server.ask(get("/metrics", f"accept: {accept}"))
    assert answer.status == 200
    assert NINES not in answer.head.decode()


def test_in_paths_and_queries(any_server: Any, get: Callable[..., bytes]) -> None:
    assert any_server.ask(get(f"/v2/models/echo/versions/{NINES}")).status == 404
    assert any_server.ask(get(f"/v2/models/echo?version={NINES}")).status == 200
