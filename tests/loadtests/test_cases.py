from __future__ import annotations

import numpy as np
import pytest

from penstock.loadtests.cases import REMEMBERED_BODIES, Case
from penstock.loadtests.encodings import ROWS_JSON
from penstock.loadtests.wire import Response


def response(body: bytes) -> Response:
    return Response(200, {}, body, keep_alive=True)


@pytest.fixture
def case():
    return Case(b"", {"p": np.array([[0.25, 0.75]], np.float32)}, ROWS_JSON.decode)


@pytest.mark.parametrize("body", [b'{"p": [[0.25, 0.75]]}', b'{"p":[0.25,0.7500001],"id":[7]}'])
def test_right_answers_may_differ_in_layout_and_in_the_last_digit(case, body):
    assert case.fault(response(body)) is None
    assert body in case.verified


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'{"p": [[0.25, 0.74]]}', "expected"),
        (b'{"p": [[0.25]]}', "1 elements, expected 2"),
        (b'{"q": [[0.25, 0.75]]}', "lacks output 'p'"),
        (b"<html>", "cannot be decoded"),
        (b"[1]", "cannot be decoded"),
    ],
)
def test_wrong_answers_are_named_and_never_remembered(case, body, fault):
    found = case.fault(response(body))
    assert found is not None
    assert fault in found
    assert not case.verified


def test_versions_may_differ_in_values_but_not_in_sizes():
    case = Case(b"", {"p": np.zeros(2)}, ROWS_JSON.decode, same_values=False)
    assert case.fault(response(b'{"p": [9, 9]}')) is None
    assert case.fault(response(b'{"p": [9]}')) is not None


def test_memory_of_right_bodies_is_bounded(case):
    for number in range(REMEMBERED_BODIES + 50):
        assert case.fault(response(b'{"p": [0.25, 0.75], "id": [%d]}' % number)) is None
    assert len(case.verified) == REMEMBERED_BODIES
