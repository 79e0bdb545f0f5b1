"""The prefix of all paths as clients see them."""

from __future__ import annotations

import pytest

from penstock.server.config.prefix import is_prefix, public_prefix

CASES = {
    "nothing": ((), "", "", ""),
    "a proxy says it": ((b"/ml",), "", "", "/ml"),
    "the configuration says it": ((), "", "/ml", "/ml"),
    "the proxy comes first": ((b"/a/b",), "", "/ml", "/a/b"),
    "a slash at the end": ((b"/ml/",), "", "", "/ml"),
    "mounted": ((), "/ml", "", "/ml"),
    "mounted, behind a proxy": ((b"/api",), "/ml", "", "/api/ml"),
    "the server adds what the proxy says": ((b"/api",), "/api/ml", "", "/api/ml"),
    "several proxies": ((b"/a, /b",), "", "", "/a"),
    "another host": ((b"//evil.example",), "", "", ""),
    "a whole address": ((b"https://evil.example",), "", "", ""),
    "a backslash": ((b"/\\evil.example",), "", "", ""),
    "a line end": ((b"/a\r\nset-cookie: a",), "", "", ""),
    "dots": ((b"/../x",), "", "", ""),
    "too long": ((b"/a" * 200,), "", "", ""),
    "markup": ((b"/<script>",), "", "", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_what_clients_see(case: str) -> None:
    values, mounted, configured, expected = CASES[case]
    headers = [(b"x-forwarded-prefix", value) for value in values]
    assert public_prefix(headers, mounted, configured) == expected


def test_what_can_be_configured() -> None:
    assert is_prefix("")
    assert is_prefix("/ml/v-1.2_~")
    assert not is_prefix("ml")
    assert not is_prefix("/ml?a")
