"""Labels of a request body: read, or refused by the number of the one that is wrong."""

from __future__ import annotations

import re

import pytest

from penstock.monitoring.feedback.label import Label, LabelError, class_name, parse_each

NOW = 1_700_000_000.0


def test_one_label_or_a_list_of_them():
    one = {"request_id": "a", "label": 1}
    assert parse_each(one, NOW, 10) == ([Label("a", 1, NOW)], [])
    full = {
        "inference_id": "b",
        "label": "yes",
        "index": 3,
        "label_time": "2023-11-14T22:13:20Z",
        "source": "crm/1",
    }
    labels, errors = parse_each([one, full], NOW, 10)
    assert (labels[1], errors) == (Label("b", "yes", NOW, 3, "crm/1"), [])
    assert parse_each([], NOW, 10) == ([], [])


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (7, "expected an object"),
        ({"request_id": "a"}, "label is missing"),
        ({"label": 1}, "neither is given"),
        ({"request_id": "a", "inference_id": "a", "label": 1}, "both are given"),
        ({"request_id": "a b", "label": 1}, "visible ASCII"),
        ({"request_id": "a" * 129, "label": 1}, "1 to 128"),
        ({"request_id": "a", "label": None}, "finite number"),
        ({"request_id": "a", "label": float("nan")}, "finite number"),
        ({"request_id": "a", "label": [1]}, "finite number"),
        ({"request_id": "a", "label": 1 << 60}, "finite number"),
        ({"request_id": "a", "label": 1, "index": -1}, "the row, from 0"),
        ({"request_id": "a", "label": 1, "index": True}, "the row, from 0"),
        ({"request_id": "a", "label": 1, "source": "a b"}, "at most 64 letters"),
        ({"request_id": "a", "label": 1, "label_time": "soon"}, "ISO 8601"),
        ({"request_id": "a", "label": 1, "label_time": NOW * 1000}, "Unix seconds"),
        ({"request_id": "a", "label": 1, "when": 1}, "unknown key 'when'"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(label, said):
    labels, (error,) = parse_each([{"request_id": "a", "label": 1}, label], NOW, 10)
    assert labels == [Label("a", 1, NOW)]
    assert re.search(said, str(error))
    assert error.item == 1


def test_too_many_at_once_are_refused():
    with pytest.raises(LabelError, match="at most 2"):
        parse_each([{"request_id": "a", "label": 1}] * 3, NOW, 2)


@pytest.mark.parametrize("value", [1, 1.0, True, "1", b"1"])
def test_a_class_has_one_name(value):
    assert class_name(value) == "1"
