"""The files that the pages show are accepted by the program's own readers."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from penstock.monitoring.alerts.alerts_file import read_settings
from penstock.monitoring.samples.featurizer import GROUP as FEATURIZERS
from penstock.runtimes.contract import VARIABLE, Signature, TensorSpec
from penstock.runtimes.discovery import ENTRY_POINT_GROUP
from penstock.server.auth.tokens import read_tokens
from penstock.server.config.config import load_config
from penstock.server.config.model_config import read_model_config
from penstock.server.loading.golden_examples import parse_examples
from penstock.server.pipelines.pipeline_file import parse_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Of the breast-cancer model, which the pages' golden requests are for.
SIGNATURE = Signature(
    inputs=(TensorSpec("features", "FP32", (VARIABLE, 30)),),
    outputs=(
        TensorSpec("label", "INT64", (VARIABLE,)),
        TensorSpec("probabilities", "FP32", (VARIABLE, 2)),
    ),
    batch_axis=True,
)


def read_plugin(path: Path) -> None:
    groups = tomllib.loads(path.read_text())["project"]["entry-points"]
    unknown = groups.keys() - {ENTRY_POINT_GROUP, FEATURIZERS}
    if unknown:
        raise ValueError(f"nobody looks for entry points of {unknown}")


def read_alertmanager(path: Path) -> None:
    (receiver,) = yaml.safe_load(path.read_text())["receivers"]
    (hook,) = receiver["webhook_configs"]
    if not hook["url"].endswith("/admin/webhooks/alertmanager"):
        raise ValueError(f"no such webhook: {hook['url']}")


READERS: dict[str, Callable[[Path], Any]] = {
    "penstock.toml": lambda path: load_config({}, {}, path),
    "model.toml": read_model_config,
    "alerts.toml": read_settings,
    "tokens.toml": read_tokens,
    "pyproject.toml": read_plugin,
    "alertmanager.yml": read_alertmanager,
    "examples.json": lambda path: parse_examples(path.read_bytes(), SIGNATURE),
    "pipeline.toml": lambda path: parse_pipeline(path.read_bytes()),
}


def problems(page: list[Any], folder: Path) -> list[str]:
    """The files of a page that their readers refuse, or that have no reader."""
    found = []
    for block in page:
        if not block.file:
            continue
        path = folder / block.file
        path.write_text(block.body)
        reader = READERS.get(block.file)
        if reader is None:
            found.append(f"line {block.line}: nobody reads a file {block.file}")
            continue
        try:
            reader(path)
        except Exception as error:  # noqa: BLE001  each reader has errors of its own
            found.append(f"line {block.line}: {block.file}: {error}")
    return found


def test_every_file_on_the_pages_is_accepted(
    markdown: Any, pages: list[Path], tmp_path: Path
) -> None:
    named = {page.name: markdown.blocks(page.read_text()) for page in pages}
    assert {name: problems(page, tmp_path) for name, page in named.items()} == {
        name: [] for name in named
    }
    assert sum(bool(block.file) for page in named.values() for block in page) >= 5


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("penstock.toml", 'registry = "models"\nworker = 2'),
        ("penstock.toml", "workers = 2"),
        ("model.toml", "[batching]\nslo = 5"),
        ("alerts.toml", '[sinks.a]\ntemplate = "fax"'),
        ("tokens.toml", '[[token]]\nname = "ci"'),
        ("pyproject.toml", '[project.entry-points."penstock.runtime"]\na = "b:C"'),
        ("alertmanager.yml", "receivers: [{webhook_configs: [{url: 'http://a/b'}]}]"),
        ("examples.json", '{"examples": [{"inputs": [{"name": "x"}]}]}'),
        ("pipeline.toml", "steps = []"),
        ("unheard.toml", "a = 1"),
    ],
)
def test_a_file_that_is_not_accepted_is_found(
    markdown: Any, tmp_path: Path, name: str, content: str
) -> None:
    page = markdown.blocks(f"<!-- file: {name} -->\n```toml\n{content}\n```\n")
    (problem,) = problems(page, tmp_path)
    assert problem.startswith("line 2: ")
    assert name in problem
