"""How many golden requests a version has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock.server.control.api.lineage_api import golden_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ('{"examples": [{"inputs": []}, {"inputs": []}]}', 2),
        ("[[1, 2], [3, 4], [5, 6]]", 3),
        ('{"examples": 7}', None),
        ("{", None),
        (None, 0),
    ],
)
def test_golden_requests_are_counted(tmp_path: Path, text: str | None, number: int | None) -> None:
    if text is not None:
        (tmp_path / "examples.json").write_text(text)
    assert golden_of(tmp_path) == number
