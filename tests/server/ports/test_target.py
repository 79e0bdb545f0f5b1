"""Targets in absolute form."""

from __future__ import annotations

import pytest

from penstock.server.ports.paths import origin_form

HOST = (b"host", b"localhost")


@pytest.mark.parametrize("target", [b"/", b"/v2?a=http://evil/", b"*", b"", b"//evil/v2", b"a:80"])
def test_other_forms_stay_as_they_are(target: bytes) -> None:
    assert origin_form(target, [HOST], "1.1") is None


@pytest.mark.parametrize(
    ("target", "host", "rest"),
    [
        (b"http://evil/v2/x", b"evil", b"/v2/x"),
        (b"HTTPS://evil:80/v2?a=b", b"evil:80", b"/v2?a=b"),
        (b"http://evil", b"evil", b"/"),
        (b"http://evil?a=/b", b"evil", b"/?a=/b"),
        (b"http://localhost@evil/", b"localhost@evil", b"/"),
        (b"http://[::1]:1/v2", b"[::1]:1", b"/v2"),
        (b"http:///v2", b"", b"/v2"),
        (b"http://evil//v2", b"evil", b"//v2"),
    ],
)
def test_the_host_of_the_target_takes_the_place_of_the_header(
    target: bytes, host: bytes, rest: bytes
) -> None:
    other = (b"accept", b"*/*")
    assert origin_form(target, [HOST, other], "1.1") == (rest, [(b"host", host), other])
    assert origin_form(target, [HOST, HOST], "1.1") == (rest, [(b"host", host)] * 2)
    assert origin_form(target, [other], "1.1") == (rest, [other])
    assert origin_form(target, [other], "1.0") == (rest, [other, (b"host", host)])
