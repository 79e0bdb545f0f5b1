"""Headers of pages with a script: they let the page's own parts work, and nothing else."""

from __future__ import annotations

import base64
import hashlib

import pytest

from penstock.server.page.scripted import page_headers, scripted_page


def source(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def directives(html: str) -> dict[str, str]:
    parts = page_headers(html)["content-security-policy"].split("; ")
    return dict(part.split(" ", 1) for part in parts)


def test_own_parts_are_allowed_by_their_content() -> None:
    found = directives("<style>a {}</style><script>f()</script><script>\ng()\n</script>")
    assert found["script-src"] == f"{source('f()')} {source(chr(10) + 'g()' + chr(10))}"
    assert found["style-src"] == source("a {}")
    assert found["default-src"] == found["base-uri"] == found["frame-ancestors"] == "'none'"
    assert found["connect-src"] == "'self'"


def test_a_page_without_a_script_may_run_none() -> None:
    assert directives("<p>nothing</p>")["script-src"] == "'none'"


@pytest.mark.parametrize("template", ["docs.html", "admin_docs.html"])
def test_pages_have_no_script_or_style_outside_of_these_parts(template: str) -> None:
    html = scripted_page(template).html
    assert html.count("<script") == html.count("<style") == 1
    assert " onclick=" not in html
    assert " style=" not in html
    assert "innerHTML" not in html
