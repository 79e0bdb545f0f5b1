"""``penstock push`` of a directory: a model file with the files that it needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from penstock.server.cli.main import main
from penstock.server.files.refusal import ModelRefused
from penstock.server.registry.publish_source import find_source

if TYPE_CHECKING:
    from pathlib import Path

CODE = """
import json

class Model:
    inputs = {"x": ("FP64", [-1])}
    outputs = {"y": ("FP64", [-1])}
    batch_axis = True

    def load(self, directory, factor):
        self.factor = factor * json.loads((directory / "data" / "one.json").read_text())

    def predict(self, inputs):
        return {"y": inputs["x"] * self.factor}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "my model"
    for name, content in {
        "model.py": CODE,
        "helper.py": "",
        "data/one.json": "1",
        ".git/config": "",
        ".env": "TOKEN=secret",
        "__pycache__/model.cpython-311.pyc": "",
    }.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(content)
    return home


def test_all_files_are_published_but_hidden_ones_and_caches(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``load`` takes a setting of model.toml: a push loads a model as its server would."""
    monkeypatch.setenv("PENSTOCK_ALLOW_CODE", "scaled")
    registry = tmp_path / "registry"
    assert main(["push", str(registry), "scaled", str(home)]) == 1
    assert "does not take the directory and the settings" in capsys.readouterr().err
    (registry / "scaled").mkdir()  # a push that fails leaves nothing behind
    (registry / "scaled" / "model.toml").write_text("[runtime]\nfactor = 2.0\n")
    assert main(["push", str(registry), "scaled", str(home)]) == 0
    version = registry / "scaled" / "1"
    manifest = json.loads((version / "manifest.json").read_text())
    listed = [one["path"] for one in manifest["files"]]
    assert listed == ["model.py", "data/one.json", "helper.py"]
    assert all((version / one).read_bytes() == (home / one).read_bytes() for one in listed)


def test_a_version_is_published_again_with_golden_requests_that_replace_its_own(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_ALLOW_CODE", "scaled")
    registry, examples = tmp_path / "registry", tmp_path / "examples.json"
    (registry / "scaled").mkdir(parents=True)
    (registry / "scaled" / "model.toml").write_text("[runtime]\nfactor = 2.0\n")

    (home / "manifest.json").write_text("none of this version")
    (home / "examples.json").write_text("[1.0]")
    assert main(["push", str(registry), "scaled", str(home)]) == 0
    examples.write_text("[2.0]")
    again = ["push", str(registry), "scaled", str(registry / "scaled" / "1")]
    assert main([*again, "--examples", str(examples)]) == 0
    for version, content in (("1", "[1.0]"), ("2", "[2.0]")):
        place = registry / "scaled" / version
        manifest = json.loads((place / "manifest.json").read_text())
        assert manifest["version"] == int(version)
        listed = [one["path"] for one in manifest["files"]]
        assert listed.count("examples.json") == 1
        assert "manifest.json" not in listed
        assert (place / "examples.json").read_text() == content


def test_a_link_out_of_the_directory_is_refused(home: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (home / "data" / "link").symlink_to(secret)
    with pytest.raises(ModelRefused, match="leads out"):
        find_source(home)


def test_a_second_name_of_a_file_elsewhere_is_refused(home: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (home / "data" / "link").hardlink_to(secret)
    source = find_source(home)
    with pytest.raises(ModelRefused, match="is a hard link"), source.open("data/link"):
        pass


def test_two_model_files_or_none_are_no_model(home: Path, tmp_path: Path) -> None:
    (home / "model.onnx").write_bytes(b"")
    with pytest.raises(ModelRefused, match="several platforms"):
        find_source(home)
    with pytest.raises(
        ModelRefused, match=r"without MLmodel, and no model file .* expected a model file, an"
    ):
        find_source(tmp_path)


def test_an_onnx_model_is_published_with_the_data_that_it_names_alone(
    tmp_path: Path, model_file: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    source = find_source(tmp_path)
    assert (source.name, source.beside) == ("model.onnx", ())
