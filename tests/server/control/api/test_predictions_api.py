"""An exported file says what is not in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.server.control.api.predictions_api import file_headers


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ({"rows": 2, "more": False, "notes": []}, "predictions.csv"),
        ({"rows": 2, "more": True, "notes": []}, "predictions-incomplete.csv"),
        ({"rows": 2, "more": False, "notes": ["a day is damaged"]}, "predictions-incomplete.csv"),
    ],
)
def test_the_name_of_a_file_says_whether_it_is_whole(head: dict[str, Any], name: str) -> None:
    headers = file_headers(head, "csv")
    assert headers["content-disposition"] == f'attachment; filename="{name}"'
    assert (headers["x-rows"], headers["x-more-rows"]) == ("2", str(head["more"]).lower())
    assert json.loads(headers["x-notes"]) == head["notes"]


def test_notes_are_one_short_line_of_ascii() -> None:
    notes = ["a day is dämaged:\nno\r\nx-other: header" * 100] * 1000
    text = file_headers({"rows": 0, "more": False, "notes": notes}, "json")["x-notes"]
    assert (text.isascii(), text.isprintable(), len(text) < 8000) == (True, True, True)
