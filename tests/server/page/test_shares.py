"""A whole and its parts."""

from __future__ import annotations

import re

from penstock.server.page.chart import share_bar

BAD = "<script>alert(1)</script>"


def widths(html: str) -> list[float]:
    return [float(one) for one in re.findall(r'<rect[^>]* width="([0-9.]+)"', html)]


def test_parts_are_as_wide_as_their_shares_and_named() -> None:
    html = share_bar("Traffic", {"version 1": 30.0, BAD: 10.0, "none": 0.0})
    assert widths(html) == [540.0, 180.0]
    assert "version 1 75 %" in html
    assert "<script" not in html
    assert "none" not in html


def test_many_parts_are_the_largest_and_the_others() -> None:
    html = share_bar("Traffic", {f"v{n}": float(n) for n in range(1, 11)})
    assert len(widths(html)) == 6
    assert abs(sum(widths(html)) - 720) < 0.1
    assert "others 27.3 %" in html
    assert widths(share_bar("Traffic", {})) == []
