"""Tokens on the prediction port: the same at both front ends, and nothing is kept for longer."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from penstock.server.files.config_error import ConfigError
from penstock.server.http import token_guard
from penstock.server.http.token_guard import OPEN_PATHS, TokenGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PREDICTS = "authorization: Bearer predicts"
REFUSED = {
    "no token": ((), 401, "send a token"),
    "another scheme": (("authorization: Basic predicts",), 401, "send a token"),
    "an unknown token": (("authorization: Bearer nobody",), 401, "not known here"),
    "two headers": ((PREDICTS, PREDICTS), 401, "given twice"),
    "bytes that are no text": (("authorization: Bearer \xff\xfe",), 401, "not known here"),
    "a token that may look": (("authorization: Bearer looks",), 403, "needs the scope predict"),
    "a token that may operate": (("authorization: Bearer operates",), 403, "the scope predict"),
}


def listed(**tokens: str) -> str:
    """A tokens file: secret -> scope."""
    return "".join(
        f'[[token]]\nname = "{secret}"\nsha256 = "{hashlib.sha256(secret.encode()).hexdigest()}"\n'
        f'scopes = ["{scope}"]\n'
        for secret, scope in tokens.items()
    )


EVERYBODY = listed(predicts="predict", looks="observe", operates="operate")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tokens")
    (directory / "admin-token").write_text("everything\n")
    (directory / "tokens.toml").write_text(EVERYBODY)
    return directory


@pytest.fixture(scope="module")
def guarded(serve: Callable[..., Any], state: Path) -> Iterator[dict[str, Any]]:
    """Both front ends, each asking for tokens."""
    options = {
        "require_predict_token": True,
        "tokens_file": str(state / "tokens.toml"),
        "state_dir": str(state),
    }
    with serve("fast", **options) as fast, serve("asgi", **options) as asgi:
        yield {"fast": fast, "asgi": asgi}


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tokens file that is looked at often."""
    monkeypatch.setattr(token_guard, "CHECK_SECONDS", 0.05)
    return tmp_path / "tokens.toml"


@pytest.fixture(params=["fast", "asgi"])
def server(request: pytest.FixtureRequest, guarded: dict[str, Any]) -> Any:
    return guarded[request.param]


@pytest.mark.parametrize("case", REFUSED)
def test_who_may_not_predict_is_refused_with_the_same_answer(
    guarded: dict[str, Any], post: Callable[..., bytes], case: str
) -> None:
    lines, status, words = REFUSED[case]
    answers = []
    for one in guarded.values():
        with one.connect() as client:
            for _ in range(2):  # the connection stays, and what was refused is not remembered
                raw = post("echo", None, "x-request-id: mine", *lines)
                answers.append(client.send(raw).answer())
    for answer in answers:
        assert answer.status == status
        assert words in json.loads(answer.body)["error"]
        assert answer.headers["x-error-code"] == {401: "unauthorized", 403: "forbidden"}[status]
        assert answer.headers["x-request-id"] == "mine"
        assert answer.body == answers[0].body
    if status == 401:
        assert answers[0].headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("secret", ["predicts", "everything"])
def test_who_may_predict_is_answered_again_and_again(
    server: Any, post: Callable[..., bytes], secret: str
) -> None:
    raw = post("echo", None, f"authorization: Bearer {secret}")
    with server.connect() as client:
        for _ in range(4):  # by the parser, by a known head, in a group
            assert client.send(raw).answer().status == 200


def test_a_refusal_comes_before_anything_else_is_told(
    server: Any, post: Callable[..., bytes]
) -> None:
    for target in ("echo", "no-such-model"):
        raw = post(target, b"{nonsense", "content-type: text/plain")
        assert server.ask(raw).status == 401


def test_a_chunked_request_is_refused_too(server: Any, chunked: Callable[..., bytes]) -> None:
    assert server.ask(chunked("echo", b"{}")).status == 401


def test_only_health_metrics_and_the_bare_page_are_open(
    server: Any, get: Callable[..., bytes]
) -> None:
    for path in sorted(OPEN_PATHS):
        assert server.ask(get(path)).status in {200, 307}
    for path in ("/v2", "/v2/models", "/v2/models/echo", "/v2/models/echo/ready", "/openapi.json"):
        assert server.ask(get(path)).status == 401
        assert server.ask(get(path, "authorization: Bearer nobody")).status == 401
        for secret in ("looks", "predicts", "operates", "everything"):
            assert server.ask(get(path, f"authorization: Bearer {secret}")).status == 200
    assert server.ask(get("/v2/models/../health/live")).status == 401
    document = server.ask(get("/openapi.json", PREDICTS)).body
    assert json.loads(document)["security"] == [{"token": []}]


def test_labels_need_the_scope_predict(server: Any, post: Callable[..., bytes]) -> None:
    body = json.dumps([{"request_id": "1", "label": 1}]).encode()
    typed = "content-type: application/json"
    assert server.ask(post("/v1/feedback", body, typed)).status == 401
    looks = "authorization: Bearer looks"
    assert server.ask(post("/v1/feedback", body, typed, looks)).status == 403
    passed = server.ask(post("/v1/feedback", body, typed, PREDICTS))
    assert passed.status == 503  # nobody keeps labels in a server of one process
    assert "labels are not kept here" in json.loads(passed.body)["error"]


def test_a_token_that_is_taken_out_is_refused_although_its_head_was_known(
    serve: Callable[..., Any], post: Callable[..., bytes], watched: Path
) -> None:
    watched.write_text(EVERYBODY)
    tensor = '{"name":"x","shape":[1,2],"datatype":"FP32","data":[1.0,2.0]}'
    raw = post("echo", f'{{"inputs":[{tensor}]}}'.encode(), PREDICTS)
    with (
        serve("fast", require_predict_token=True, tokens_file=str(watched)) as one,
        one.connect() as client,
    ):
        for _ in range(4):
            assert client.send(raw).answer().status == 200
        assert len(one.app.engine.port.head_cache) == 1
        assert len(one.app.engine.port.coalescer.templates._text) == 1
        watched.write_text("nonsense")  # changes nothing
        watched.write_text(listed(looks="observe"))
        statuses = [client.send(raw).answer().status]
        while statuses[-1] == 200:
            statuses.append(client.send(raw).answer().status)
        assert statuses[-1] == 401
        assert not one.app.engine.port.head_cache
        watched.write_text(EVERYBODY)
        while client.send(raw).answer().status == 401:
            pass


def test_a_worker_that_starts_on_nonsense_knows_the_admin_token_until_it_is_mended(
    serve: Callable[..., Any], post: Callable[..., bytes], watched: Path
) -> None:
    (watched.parent / "admin-token").write_text("everything\n")
    watched.write_text("nonsense")
    options = {"tokens_file": str(watched), "state_dir": str(watched.parent)}
    with serve("fast", require_predict_token=True, **options) as one:
        assert one.ask(post("echo", None, "authorization: Bearer everything")).status == 200
        assert one.ask(post("echo", None, PREDICTS)).status == 401
        watched.write_text(EVERYBODY)
        assert one.ask(post("echo", None, PREDICTS)).status == 200


def test_without_the_option_nobody_is_asked(fast: Any, get: Callable[..., bytes]) -> None:
    assert fast.app.engine.port.guard is None
    assert "security" not in json.loads(fast.ask(get("/openapi.json")).body)


def test_a_guard_that_would_refuse_everybody_is_a_mistake() -> None:
    async def make() -> None:
        TokenGuard(asyncio.get_running_loop(), None, None, lambda: None)

    with pytest.raises(ConfigError, match="tokens_file"):
        asyncio.run(make())
