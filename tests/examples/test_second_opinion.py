"""The example of a pipeline: pushed as the page says, it answers as both of its versions."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.runtimes.contract import LoadOptions
from penstock.runtimes.discovery import find_runtime
from penstock.server.cli.main import main
from penstock.server.pipelines.pipeline_runtime import PipelineRuntime, StepModel

if TYPE_CHECKING:
    from pathlib import Path


def test_both_versions_answer_one_request(demo: Any, examples: Path, tmp_path: Path) -> None:
    registry = tmp_path / "registry"
    shutil.copytree(examples / "registry", registry)
    status = main(["push", str(registry), "second-opinion", str(examples / "second-opinion.toml")])
    assert status == 0
    rows = np.array([row for row, _ in demo.held_out("breast-cancer")], np.float32)
    steps, labels, scores = {}, [], []
    for version in (1, 2):
        runtime, path = find_runtime(registry / "breast-cancer" / str(version))
        model = runtime.load(path, LoadOptions())
        steps["breast-cancer", version] = StepModel(model)
        label, score = model.execute([rows], ["label", "probabilities"])
        labels.append(label)
        scores.append(score)
    directory = registry / "second-opinion" / "1"
    pipeline = PipelineRuntime(steps).load(directory / "pipeline.toml", LoadOptions())
    first, second, score = pipeline.execute([rows], ["label", "second_label", "probabilities"])
    np.testing.assert_array_equal(first, labels[0])
    np.testing.assert_array_equal(second, labels[1])
    np.testing.assert_array_equal(score, scores[1])
