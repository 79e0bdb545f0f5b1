"""General HTTP clients: what they send by default is served."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import subprocess
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [0.1, -2]}]}
PATH = "/v2/models/echo-fp64/infer"


def check(status: int, content: bytes | str) -> None:
    assert status == 200, content
    (output,) = json.loads(content)["outputs"]
    assert (output["shape"], output["data"]) == ([1, 2], [0.1, -2.0])


@pytest.mark.client("httpx", "JSON, chunked bodies")
def test_httpx(server: Any) -> None:
    with httpx.Client(base_url=server.url) as client:
        for _ in range(3):
            reply = client.post(PATH, json=REQUEST, headers={"x-request-id": "mine"})
            check(reply.status_code, reply.content)
            assert reply.headers["x-request-id"] == "mine"
        chunks = iter([b'{"inputs": [', json.dumps(REQUEST["inputs"][0]).encode(), b"]}"])
        reply = client.post(PATH, content=chunks, headers={"content-type": "application/json"})
        check(reply.status_code, reply.content)
        reply = client.post(PATH, data={"inputs": "[]"})
        assert reply.status_code == 415


@pytest.mark.client("httpx", "64 requests at once")
def test_httpx_with_many_requests_at_once(server: Any) -> None:
    async def ask_all() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=server.url) as client:
            return await asyncio.gather(*[client.post(PATH, json=REQUEST) for _ in range(64)])

    for reply in asyncio.run(ask_all()):
        check(reply.status_code, reply.content)
        assert "content-encoding" not in reply.headers  # too small to be worth it


def test_httpx_takes_large_answers_compressed(server: Any) -> None:
    data = [[0.5, float(i)] for i in range(5000)]
    request = {"inputs": [{**REQUEST["inputs"][0], "shape": [5000, 2], "data": data}]}
    reply = httpx.post(server.url + PATH, json=request)
    assert reply.headers["content-encoding"] == "gzip"
    assert reply.json()["outputs"][0]["data"] == [number for row in data for number in row]


@pytest.mark.client("http.client", "keep-alive, HEAD, 405")
def test_http_client_of_the_standard_library(server: Any) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as client:
        for body in (json.dumps(REQUEST), iter([json.dumps(REQUEST).encode()])):
            client.request("POST", PATH, body)
            reply = client.getresponse()
            check(reply.status, reply.read())
        client.request("HEAD", "/v2/health/ready")
        reply = client.getresponse()
        assert (reply.status, reply.read()) == (200, b"")
        client.request("GET", PATH)
        reply = client.getresponse()
        assert (reply.status, reply.getheader("allow")) == (405, "POST")
        reply.read()


def test_urllib_needs_a_content_type_and_is_told_so(server: Any) -> None:
    data = json.dumps(REQUEST).encode()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(server.url + PATH, data, timeout=60)
    with caught.value as refusal:
        assert refusal.code == 415
        assert "application/json" in json.loads(refusal.read())["error"]
    typed = urllib.request.Request(server.url + PATH, data, {"content-type": "application/json"})
    with urllib.request.urlopen(typed, timeout=60) as reply:
        check(reply.status, reply.read())


@pytest.mark.client("curl", "JSON, compressed, expect: 100-continue")
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--compressed"],
        ["--http1.0"],
        ["--http2"],  # offers an upgrade to h2c
        ["-H", "transfer-encoding: chunked"],
        ["-H", "expect: 100-continue"],
    ],
    ids=lambda options: " ".join(options) or "plain",
)
def test_curl(server: Any, tmp_path: Path, options: list[str]) -> None:
    if options == ["--http2"]:
        if b"HTTP2" not in subprocess.run(["curl", "-V"], check=True, capture_output=True).stdout:
            pytest.skip("this curl does not speak HTTP/2")
        if server.frontend == "asgi":
            pytest.skip("uvicorn's own class drops the body of a request that offers an upgrade")
    body = tmp_path / "body.json"
    body.write_text(json.dumps(REQUEST))
    command = ["curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "20"]
    command += ["-H", "content-type: application/json", "--data-binary", f"@{body}", *options]
    done = subprocess.run([*command, server.url + PATH], check=True, capture_output=True)
    check(200, done.stdout)
