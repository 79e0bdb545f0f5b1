"""Where versions come from, and how many golden requests they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from penstock.server.control.api.lineage_api import LineageApi, golden_of
from penstock.server.registry.manifest import (
    MANIFEST_FILE,
    FileEntry,
    Manifest,
    Run,
    encode_manifest,
)

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.server.control.coordination.coordinator import Coordinator


def _publish(directory: Path, commit: str) -> None:
    run = Run("r1", commit, {f"p{number}": "x" * 2000 for number in range(60)})
    files = (FileEntry("model.onnx", 4, "0" * 64), FileEntry("more", 5, "1" * 64))
    content = encode_manifest(Manifest("m", 1, files, run=run, metrics={"auc": 0.9}))
    (directory / MANIFEST_FILE).write_bytes(content)


def test_manifests_are_read_again_when_they_have_changed_and_only_then(tmp_path: Path) -> None:
    api = LineageApi(cast("Coordinator", None), tmp_path)
    (before,) = api.lineage_of({1: tmp_path})
    assert before["missing"] == "no manifest; `penstock push` writes one"
    _publish(tmp_path, "abc")
    (first,), (second,) = api.lineage_of({1: tmp_path}), api.lineage_of({1: tmp_path})
    assert (first["commit"], first["files"], first["bytes"]) == ("abc", 2, 9)
    assert (len(first["params"]), len(first["params"]["p0"])) == (50, 1001)
    assert second["params"] is first["params"]  # as it was read before
    _publish(tmp_path, "def")
    (third,) = api.lineage_of({1: tmp_path})
    assert third["commit"] == "def"
    (tmp_path / MANIFEST_FILE).write_text("{")
    (broken,) = api.lineage_of({1: tmp_path})
    assert "manifest.json" in broken["missing"]


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


def test_golden_requests_are_counted_again_when_they_have_changed(tmp_path: Path) -> None:
    for number in (1, 2, 2):
        (tmp_path / "examples.json").write_text(str([[1]] * number))
        assert golden_of(tmp_path) == number
