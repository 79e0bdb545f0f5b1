"""Reports in a real browser: shown from a file without a complaint, whatever names are in them."""

from __future__ import annotations

import pytest

from penstock.server.page.chart import (
    Event,
    Mark,
    Series,
    Threshold,
    bar_chart,
    line_chart,
    sparkline,
    timeline,
)
from penstock.server.page.markup import badge, side_by_side
from penstock.server.page.page import Figure, Page

NOON = 1_930_000_000
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</title></style><script>alert(1)</script>",
    "quo\"te's & amp;",
    "half\ud800 \u202egpj.exe",
)


def report(name):
    page = Page(f"Drift of {name}", name)
    for number in range(3):
        section = page.section(f"{number} {name}")
        section.figures(Figure(name, name, name, "good"), Figure("rows", 12_345, "in all", "bad"))
        section.callout(name, "warning")
        section.text(name, badge(name, "bad"))
        section.table(["name", "over time", "rows"], [[name, sparkline([1, 3, 2], tone="bad"), 7]])
        series = Series(name, [NOON, NOON + 60], [0.1, 0.3], [0.0, 0.2], [0.2, 0.4])
        levels, marks = [Threshold(0.2, name)], [Mark(NOON + 30, name)]
        lines = line_chart(name, [series], thresholds=levels, marks=marks, width=350)
        section.add(side_by_side(lines, bar_chart(name, [name], {name: [2.5]}, width=350)))
        section.add(timeline(name, [Event(NOON, name, NOON + 60, "good", name)]))
        section.details(name, badge(name))
    return page.render(name)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_report_shows_names_as_text_and_nothing_else_happens(page, tmp_path, name):
    path = tmp_path / "report.html"
    path.write_text(report(name))
    page.goto(path.as_uri())
    shown = name.replace("\ud800", "\ufffd").replace("\u202e", "\ufffd")
    assert page.title() == f"Drift of {shown}"
    assert page.locator("h1").inner_text() == f"Drift of {shown}"
    assert page.locator("td").first.inner_text() == " ".join(shown.split())
    assert page.locator("svg.chart").count() == 9
    assert page.locator("script, img, iframe").count() == 0
    assert (
        page.locator(".callout").first.evaluate("one => getComputedStyle(one).borderLeftWidth")
        == "4px"
    )
    page.screenshot(path=str(tmp_path / "report.png"), full_page=True)
