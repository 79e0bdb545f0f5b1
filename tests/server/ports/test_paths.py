"""One path of a request, for routing and for authority alike."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.errors import InvalidRequest
from penstock.server.ports.paths import below, canonical, path_of, routed_at

CANONICAL = {
    b"/": "/",
    b"/v2": "/v2",
    b"/v2/": "/v2",
    b"/v1/%66eedback": "/v1/feedback",
    b"/v1/%46eedback": "/v1/Feedback",
    b"/v1/%2566eedback": "/v1/%66eedback",
    b"/v2/models/gr%C3%BC%C3%9Fe": "/v2/models/grüße",
    b"/v2/models/a%20b+c": "/v2/models/a b+c",
    b"/v2/models/...": "/v2/models/...",
}
REFUSED = {
    b"": "begin with a slash",
    b"*": "begin with a slash",
    b"http://x/v2": "begin with a slash",
    b"//": "empty segment",
    b"//v2": "empty segment",
    b"/v2//models": "empty segment",
    b"/v2//": "empty segment",
    b"/v2/../v1/feedback": "dot segment",
    b"/v2/%2e%2E/v1/feedback": "dot segment",
    b"/./v2": "dot segment",
    b"/v2/.": "dot segment",
    b"/v1%2ffeedback": "encoded slash",
    b"/v1/feedback%2F": "encoded slash",
    b"/v1/%6": "two hexadecimal digits",
    b"/v1/%zz": "two hexadecimal digits",
}


@pytest.mark.parametrize("path", CANONICAL)
def test_a_path_is_decoded_once(path: bytes) -> None:
    assert canonical(path) == CANONICAL[path]


@pytest.mark.parametrize("path", REFUSED)
def test_a_path_of_several_meanings_is_refused(path: bytes) -> None:
    with pytest.raises(InvalidRequest, match=REFUSED[path]):
        canonical(path)


@given(st.binary(max_size=40))
def test_what_is_accepted_has_one_meaning(tail: bytes) -> None:
    """No dot segment, no empty one, and as many segments as were sent."""
    try:
        path = canonical(b"/" + tail)
    except InvalidRequest:
        return
    once = unquote_to_bytes(b"/" + tail).decode("utf-8", "replace")
    assert path == (once if once == "/" else once.removesuffix("/"))
    assert path == "/" or not {"", ".", ".."}.intersection(path[1:].split("/"))
    assert path.count("/") == (b"/" + tail).removesuffix(b"/").count(b"/") or path == "/"


def test_a_root_is_taken_off_once_and_only_whole() -> None:
    assert below("/ml/v2", "/ml") == "/v2"
    assert below("/ml", "/ml") == "/"
    assert below("/mlx/v2", "/ml") == "/mlx/v2"
    assert below("/ml/ml/v2", "/ml") == "/ml/v2"
    assert below("/v2", "") == "/v2"


@pytest.mark.parametrize("raw", [b"/ml/v1/%66eedback?a=/../b", None])
def test_starlette_routes_by_the_path_that_was_judged(raw: bytes | None) -> None:
    from starlette._utils import get_route_path  # what its router calls

    scope: dict[str, Any] = {"type": "http", "path": "/ml/v1/feedback", "root_path": "/ml"}
    if raw is not None:
        scope["raw_path"] = raw
    path = path_of(scope)
    assert path == "/v1/feedback"
    assert get_route_path(routed_at(scope, path)) == path
