"""Rows of a file that are no labels are told by their line, and the others are read."""

from __future__ import annotations

import pytest

from penstock.monitoring.feedback.label_file import LabelFile


def test_a_quoted_cell_that_does_not_end_is_told_and_no_label_is_made_of_it(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text('request_id,label\na,1\n"b,0\nc,1\nd,1\n')
    first, second = LabelFile(path).rows()
    assert first.label == {"request_id": "a", "label": "1"}
    assert (second.line, second.label) == (5, None)
    assert "nothing behind this row was read" in second.problem


@pytest.mark.parametrize("key", ["label", "request_id", "index", "source"])
@pytest.mark.parametrize("value", ["[1]", '{"a": 1}', "[]"])
def test_a_list_or_an_object_in_a_line_is_a_problem_of_that_line(tmp_path, key, value):
    path = tmp_path / "labels.jsonl"
    wrong = {"request_id": '"a"', "label": "1"} | {key: value}
    words = ", ".join(f'"{name}": {one}' for name, one in wrong.items())
    path.write_text(f'{{{words}}}\n{{"request_id": "b", "label": 0}}\n')
    first, second = LabelFile(path).rows()
    assert (first.line, first.label) == (1, None)
    assert first.problem
    assert second.label == {"request_id": "b", "label": 0}
