"""What a request is asked before it is served: host, path, content type; and proxies in front."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from penstock.server.http import app as http_app
from penstock.server.http.single import create_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

JSON = "content-type: application/json"


# -- one path for routing and authority -----------------------------------------------------------


def spellings(path: str) -> list[str]:
    """Ways to write a path that some reader takes for it."""
    encoded = ["".join(f"%{ord(c):02x}" if c == one else c for c in path) for one in "fev1k/"]
    twice = path.replace("f", "%2566")
    dots = [path.replace("/v1", one) for one in ("/./v1", "/x/../v1", "/%2e/v1", "/x/%2E%2e/v1")]
    upper = re.sub("[a-z]", lambda match: f"%{ord(match[0]):02X}", path)
    slashes = [path.replace("/", "//"), path + "/", path + "//", path + "%2f", "/" + path]
    return [path, *encoded, twice, *dots, upper, *slashes, path + "?a=b", path + ";a", path + "%00"]


@pytest.fixture
def tokens(tmp_path: Path) -> dict[str, Any]:
    listed = [
        (scope, hashlib.sha256(scope.encode()).hexdigest()) for scope in ("predict", "observe")
    ]
    (tmp_path / "tokens.toml").write_text(
        "".join(
            f'[[token]]\nname = "{scope}"\nsha256 = "{digest}"\nscopes = ["{scope}"]\n'
            for scope, digest in listed
        )
    )
    return {"require_predict_token": True, "tokens_file": str(tmp_path / "tokens.toml")}


@pytest.mark.parametrize("name", ["fast", "asgi"])
def test_no_spelling_of_a_path_asks_for_less_authority(
    serve: Callable[..., Any], post: Callable[..., bytes], tokens: dict[str, Any], name: str
) -> None:
    """Labels need the scope predict: who may only look is refused, or finds nothing there."""
    with serve(name, **tokens) as server:
        for spelling in spellings("/v1/feedback"):
            history = server.ask(post(spelling, b"[]", JSON, "authorization: Bearer observe"))
            predicts = server.ask(post(spelling, b"[]", JSON, "authorization: Bearer predict"))
            # 503: the handler was reached; it keeps no labels in a server of one process.
            assert (history.status, predicts.status) in {(403, 503), (400, 400), (404, 404)}, (
                spelling
            )
            assert server.ask(post(spelling, b"[]", JSON)).status == 401, spelling
        for spelling in spellings("/v2/models/echo/infer"):
            history = server.ask(post(spelling, None, JSON, "authorization: Bearer observe"))
            predicts = server.ask(post(spelling, None, JSON, "authorization: Bearer predict"))
            assert (history.status, predicts.status) in {(403, 200), (400, 400), (404, 404)}, (
                spelling
            )


@pytest.mark.parametrize("path", ["/v2/models/echo/infer/", "/v2/models/%65cho/infer/"])
def test_a_slash_at_the_end_changes_nothing(
    any_server: Any, post: Callable[..., bytes], path: str
) -> None:
    assert any_server.ask(post(path)).status == 200


# -- hosts ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict(serve: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    options = {"allowed_hosts": "api.example.com", "root_path": "/ml"}
    with serve("fast", **options) as fast, serve("asgi", **options) as asgi:
        yield {"fast": fast, "asgi": asgi}


@pytest.mark.parametrize("name", ["fast", "asgi"])
def test_a_foreign_host_is_refused_again_and_again(
    strict: dict[str, Any], post: Callable[..., bytes], get: Callable[..., bytes], name: str
) -> None:
    def named(raw: bytes, host: str) -> bytes:
        return re.sub(rb"host: [^\r]*", b"host: " + host.encode(), raw)

    server = strict[name]
    with server.connect() as client:
        for host, status in 3 * [("evil.example", 421), ("api.example.com:1", 200)]:
            for raw in (post(), get("/v2/models"), get("/metrics"), get("/v2/health/live")):
                answer = client.send(named(raw, host)).answer()
                assert answer.status == status
                if status != 200:
                    assert answer.headers["x-error-code"] == "misdirected_request"
                    assert "--allowed-hosts" in json.loads(answer.body)["error"]
    assert not any(b"evil" in head for head in server.app.engine.port.head_cache)


@pytest.mark.parametrize("path", ["/v2/models/echo/infer", "/v2/health/live", "?a=b", ""])
def test_a_target_in_absolute_form_is_judged_by_its_own_host(
    strict: dict[str, Any], body: Callable[..., bytes], path: str
) -> None:
    """The scope of uvicorn's own protocol lacks the host of a target, so there it is not judged."""
    method, content = ("POST", body()) if "infer" in path else ("GET", b"")

    def ask(host: str, *lines: str, version: str = "1.1") -> int:
        first = f"{method} http://{host}{path} HTTP/{version}"
        head = [first, f"content-length: {len(content)}", "content-type: application/json", *lines]
        return strict["fast"].ask("\r\n".join([*head, "", ""]).encode() + content).status

    served = 200 if path.startswith("/") else 307
    for _ in range(3):  # also of a head that is known
        assert ask("evil.example", "host: localhost") == 421
        assert ask("evil.example:80", "host: api.example.com") == 421
        assert ask("localhost@evil.example", "host: localhost") == 421
        assert ask("api.example.com", "host: evil.example") == served
        assert ask("api.example.com:8000", "host: api.example.com") == served
        assert ask("evil.example", version="1.0") == 421
        assert ask("localhost", version="1.0") == served
        assert ask("localhost") == 400
        assert ask("localhost", "host: localhost", "host: localhost") == 400


@pytest.mark.parametrize("path", ["/v2/models/echo/infer", "/v2/health/live", "/metrics"])
def test_http_1_1_without_a_host_or_with_two_is_refused(
    any_server: Any, body: Callable[..., bytes], path: str
) -> None:
    """By either front end, and also where every host is allowed."""
    method, content = ("POST", body()) if "infer" in path else ("GET", b"")

    def ask(*hosts: str, version: str = "1.1") -> int:
        head = [f"{method} {path} HTTP/{version}", f"content-length: {len(content)}"]
        lines = [*head, *[f"host: {host}" for host in hosts], "", ""]
        return any_server.ask("\r\n".join(lines).encode() + content).status

    for _ in range(3):
        assert ask() == 400
        assert ask("localhost", "localhost") == 400
        assert ask("localhost", "evil.example") == 400
        assert ask("localhost") == 200
        assert ask(version="1.0") == 200


# -- content types --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "content-type: text/plain",
        "content-type: text/plain;charset=application/json",
        "content-type: application/x-www-form-urlencoded",
        "content-type: multipart/form-data; boundary=a",
        "origin: http://evil.example",
        "origin: null",
        "sec-fetch-site: cross-site",
        "content-type:\r\norigin: http://evil.example",
    ],
)
def test_what_a_web_page_may_send_unasked_predicts_nothing(
    any_server: Any, post: Callable[..., bytes], line: str
) -> None:
    for _ in range(3):
        answer = any_server.ask(post("echo", None, line))
        assert answer.status == 415
        assert "application/json" in json.loads(answer.body)["error"]


def test_a_page_with_a_content_type_and_a_program_without_one_are_served(
    any_server: Any, post: Callable[..., bytes]
) -> None:
    assert any_server.ask(post("echo", None, JSON, "origin: http://localhost:8000")).status == 200
    assert any_server.ask(post("echo")).status == 200  # NVIDIA's client sends none with JSON


def test_no_page_of_another_origin_is_let_in(any_server: Any, get: Callable[..., bytes]) -> None:
    lines = ("origin: http://evil.example", "access-control-request-method: POST")
    answer = any_server.ask(get("/v2/models/echo/infer", *lines, method="OPTIONS"))
    assert answer.status == 405
    assert not any(name.startswith("access-control") for name in answer.headers)


# -- prefixes -------------------------------------------------------------------------------------


def test_redirects_and_the_description_keep_the_prefix_of_a_proxy(
    any_server: Any, get: Callable[..., bytes]
) -> None:
    forwarded = "x-forwarded-prefix: /ml"
    assert any_server.ask(get("/")).headers["location"] == "docs"
    assert any_server.ask(get("/", forwarded)).headers["location"] == "/ml/docs"
    assert any_server.ask(get("/docs/", forwarded)).headers["location"] == "../docs"
    for lines, url in (((), "/"), ((forwarded,), "/ml"), (("x-forwarded-prefix: //evil",), "/")):
        answer = any_server.ask(get("/openapi.json", *lines))
        assert json.loads(answer.body)["servers"] == [{"url": url}]
        assert answer.headers["vary"] == "x-forwarded-prefix"


@pytest.mark.parametrize("name", ["fast", "asgi"])
def test_a_configured_prefix_may_be_left_in_the_path(
    strict: dict[str, Any], post: Callable[..., bytes], get: Callable[..., bytes], name: str
) -> None:
    server = strict[name]
    for path in ("/ml/v2/models/echo/infer", "/v2/models/echo/infer"):
        assert server.ask(post(path)).status == 200
    assert server.ask(get("/ml/")).headers["location"] == "/ml/docs"
    assert server.ask(get("/ml")).headers["location"] == "/ml/docs"
    assert json.loads(server.ask(get("/ml/openapi.json")).body)["servers"] == [{"url": "/ml"}]
    assert server.ask(get("/mlx/v2/models")).status == 404


# -- the description ------------------------------------------------------------------------------


def test_the_description_is_built_once_per_change_and_off_the_loop(
    serve: Callable[..., Any], get: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []
    openapi = http_app.openapi

    def counted(*args: Any, **options: Any) -> Any:
        built.append(threading.current_thread().name)
        return openapi(*args, **options)

    monkeypatch.setattr(http_app, "openapi", counted)
    with serve("fast") as server:
        clients = [server.connect().send(get("/openapi.json")) for _ in range(8)]
        first = [client.answer().body for client in clients]
        for client in clients:
            client.socket.close()
        assert set(first) == {server.ask(get("/openapi.json")).body}
        assert len(built) == 1
        assert not built[0].startswith("server-")  # the thread of the loop
        catalog = server.app.engine.catalog
        server.on_loop(lambda: catalog.withdraw("echo"))
        after = json.loads(server.ask(get("/openapi.json")).body)
        assert "/v2/models/echo/infer" not in after["paths"]
        assert len(built) == 2


# -- mounted --------------------------------------------------------------------------------------


def outer(kind: str, inner: Any) -> Any:
    if kind == "starlette":
        return Starlette(routes=[Mount("/ml", inner)])
    from fastapi import FastAPI

    made = FastAPI()
    made.mount("/ml", inner)
    return made


@pytest.mark.parametrize("kind", ["starlette", "fastapi"])
def test_a_mounted_app_answers_without_its_lifespan(
    registry: Path, body: Callable[..., bytes], kind: str
) -> None:
    app = outer(kind, create_app(registry, threads=1, load_trials=False))

    async def ask() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x.example") as client:
            typed = {"content-type": "application/json"}
            posts = [
                client.post("/ml/v2/models/echo/infer", content=body(), headers=typed)
                for _ in range(3)
            ]
            for answer in await asyncio.gather(*posts):
                assert answer.json()["outputs"][0]["data"] == [1.0, 2.0]
            document = (await client.get("/ml/openapi.json")).json()
            assert document["servers"] == [{"url": "/ml"}]
            assert (await client.get("/ml/", headers={"accept": "text/html"})).headers[
                "location"
            ] == "/ml/docs"
            assert (await client.get("/ml/v2/models/echo/")).status_code == 200
            assert (await client.get("/ml/metrics")).status_code == 200

    # Each loop is a process of its own to the app; test clients make one per request.
    for _ in range(2):
        asyncio.run(ask())


def test_an_app_warns_of_a_package_that_overwrites_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    create_app(tmp_path)
    assert caplog.messages == []
    (tmp_path / "penstock-9.9.dist-info").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    create_app(tmp_path)
    (told,) = caplog.messages
    assert "somebody else's distribution 'penstock'" in told


def test_an_app_serves_on_one_running_loop(registry: Path) -> None:
    app = create_app(registry, threads=1, load_trials=False)

    async def ask() -> int:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return (await client.get("/v2")).status_code

    async def main() -> None:
        assert await ask() == 200
        with pytest.raises(RuntimeError, match="another event loop"):
            await asyncio.to_thread(lambda: asyncio.run(_direct(app)))

    asyncio.run(main())


async def _direct(app: Any) -> None:
    scope = {"type": "http", "method": "GET", "path": "/v2", "headers": []}
    await app(scope, None, None)
