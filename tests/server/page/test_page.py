"""A page shows its content, whatever that holds, and can do nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.server.page.chart import Series, line_chart, sparkline
from penstock.server.page.markup import badge, side_by_side
from penstock.server.page.page import MAX_ROWS, Figure, Page
from penstock.server.page.style import SECURITY_POLICY

VOID = {"meta", "link", "br", "hr"}
NASTY = "<script>alert('x')</script>\"&'\x00\x1b"


class Reader(HTMLParser):
    """Checks that elements nest, and keeps tags and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] != "style":
            self.words.append(data)


def a_page(text: str) -> str:
    page = Page(text, text)
    section = page.section(text)
    section.text(text, badge(text, "bad"))
    section.figures(Figure(text, text, text, "good"), Figure("rows", 12_345), Figure("?", None))
    section.table([text, "n"], [[text, 1.5], [None, None], ["short"]], text)
    section.callout(text, "warning")
    section.heading(text)
    section.details(text, badge(text))
    section.add(line_chart(text, [Series(text, [0, 1], [1, 2])]))
    section.add(side_by_side(sparkline([1, 2, 3], description=text)))
    return page.render(text)


@given(st.text())
def test_any_text_is_shown_as_it_is(text: str) -> None:
    plain = Reader(a_page("plain"))
    reader = Reader(a_page(text))
    assert reader.stack == []
    # An empty text leaves nothing out but the words, and makes no element of its own.
    assert {tag for tag, _ in reader.tags} <= {tag for tag, _ in plain.tags}


def test_markup_in_text_is_text() -> None:
    page = a_page(NASTY)
    reader = Reader(page)
    assert "script" not in {tag for tag, _ in reader.tags}
    assert "<script>alert('x')</script>\"&'" in reader.words
    assert "\x00" not in page
    assert "\x1b" not in page


def test_a_page_may_do_nothing_but_show_itself() -> None:
    page = a_page("x")
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in SECURITY_POLICY
    assert SECURITY_POLICY.startswith("default-src 'none'")
    reader = Reader(page)
    policies = [
        one["content"]
        for tag, one in reader.tags
        if tag == "meta" and one.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == [SECURITY_POLICY]
    # What that policy would not let through is not there in the first place.
    for tag, attributes in reader.tags:
        assert tag not in {"script", "iframe", "img", "object", "form"}
        assert not {name for name in attributes if name == "style" or name.startswith("on")}


def test_figures_are_written_for_people_and_set_to_the_right() -> None:
    page = Page("t")
    page.section("s").table(["name", "rows", "ok"], [["a", 1_234_567, True], ["b", None, False]])
    text = page.render()
    assert '<td class="n">1.235M</td>' in text
    assert '<td class="n">\N{EN DASH}</td>' in text
    assert '<td class="s">yes</td>' in text


def test_short_words_stay_whole_and_long_ones_are_broken_before_the_page_is() -> None:
    page = Page("t")
    page.section("s").table(["by", "digest"], [["penstock", "sha256:" + "0" * 64]])
    text = page.render()
    assert '<td class="s">penstock</td>' in text
    assert "<td>sha256:" in text
    assert "td.s { overflow-wrap: normal }" in text


def test_a_table_is_bounded_and_says_so() -> None:
    page = Page("t")
    page.section("s").table(["n"], [[n] for n in range(MAX_ROWS + 5)], "Rows")
    text = page.render()
    assert text.count("<tr>") == MAX_ROWS + 1
    assert f"Rows (the first {MAX_ROWS} of {MAX_ROWS + 5})" in text


def test_markup_is_not_escaped_twice() -> None:
    page = Page("t")
    page.section("s").text(badge("<b>"), "&", badge("a & b"))
    expected = (
        '<p><span class="badge">&lt;b&gt;</span>&amp;<span class="badge">a &amp; b</span></p>'
    )
    assert expected in page.render()


def test_half_a_surrogate_pair_does_not_keep_a_page_from_being_sent() -> None:
    page = a_page("model\ud800\udfff")
    assert "model\ufffd\ufffd" in page.encode().decode()


def test_a_name_cannot_reorder_the_words_around_it() -> None:
    reordering = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    page = a_page(f"model{reordering}gpj.exe")
    assert not set(reordering) & set(page)
    assert "model" + "\ufffd" * len(reordering) + "gpj.exe" in page
    assert "\u05d0\u200f" in a_page("\u05d0\u200f")  # what a language needs stays
