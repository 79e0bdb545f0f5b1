"""Which answers of a query have a chart, and one prediction with its chain."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.server.console.admin_api import AdminApi
from penstock.server.console.predictions_pages import prediction_page
from penstock.server.console.query_pages import chart_of
from penstock.server.console.visit import Visit

BAD = "<script>alert(1)</script>\"'&"


@pytest.mark.parametrize(
    ("columns", "rows", "kind"),
    [
        (["time", "n"], [[1e9, 1], [1e9 + 60, 2.5]], "lines"),
        (["x", "n"], [[3, 1], [1, 4], [2, 2]], "lines"),
        (["word", "n"], [["a", 1], [None, 2]], "bars"),
        (["word", "n"], [["a", -1], ["b", 2]], ""),
        (["word", "other"], [["a", "b"], ["b", "c"]], ""),
        (["word", "n"], [["a", True], ["b", False]], ""),
        (["word", "n"], [[str(n), n] for n in range(100)], ""),
        (["n"], [[1], [2]], ""),
        (["word", "n"], [["a", 1]], ""),
        ([], [], ""),
    ],
)
def test_figures_that_follow_from_the_first_column_have_a_chart(
    columns: list[str], rows: list[list[Any]], kind: str
) -> None:
    chart = chart_of(columns, rows)
    if not kind:
        assert chart is None
    else:
        assert chart is not None
        assert ('class="line' in chart) == (kind == "lines")


def test_a_prediction_is_shown_with_all_that_follows_from_it() -> None:
    row = {
        "model": BAD, "time": 1e9, "request_id": BAD, "row": 0, "version": 3, "arm": BAD,
        "status": 200, "error": None, "latency": 0.0125, BAD: BAD, "score": 0.5, "digest": "d",
    }  # fmt: skip
    found = {
        "request_id": BAD, "rows": [row, {**row, "row": 1, "score": None}], "more": False,
        "notes": [BAD], "lineage": {"run": BAD, "commit": "abc"},
        "labels": [
            {"row": 1, "label": BAD, "label_time": 1e9, "received": 1e9 + 60, "source": BAD}
        ],
        "windows": [
            {"arm": BAD, "start": 1e9, "end": 1e9 + 3600, "rows": 5, "state": "drift", "span": ""}
        ],
    }  # fmt: skip
    app: Any = None
    visit = Visit("/console", AdminApi(app, None), None)
    html = prediction_page(found, visit).render()
    assert "<script" not in html
    for words in ("12.5", "row 1", "abc", "2001-09-09 01:47:40", "2001-09-09 02:46:40"):
        assert words in html
