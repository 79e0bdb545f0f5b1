"""The model of a directory that other tools have made, and no file from elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from penstock.server.files.refusal import ModelRefused
from penstock.server.registry.hub_layout import is_hub_model
from penstock.server.registry.publish import Details, publish
from penstock.server.registry.publish_source import find_source

EXAMPLES = Path(__file__).parents[3] / "examples"
ONNX = EXAMPLES / "registry" / "breast-cancer" / "1" / "model.onnx"
TREES = EXAMPLES / "trees" / "iris" / "1" / "model.ubj"
REVISION = "5f0b02c75b57c5855da9ae460ce51323ea669d8a"


def files(source):
    return source.model.name, source.name, source.beside


@pytest.fixture
def home(tmp_path):
    made = tmp_path / "models"
    made.mkdir()
    (made / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (made / "tokenizer.json").write_text("{}")
    (made / "README.md").write_text("# a model")
    return made


def test_the_only_model_file_of_a_flat_directory_is_found_whatever_its_name(home):
    shutil.copy(TREES, home / "iris 2.ubj")
    assert files(find_source(home)) == ("iris 2.ubj", "model.ubj", ())
    shutil.copy(ONNX, home / "other.onnx")
    with pytest.raises(ModelRefused, match=r"several model files, expected one: iris 2\.ubj, oth"):
        find_source(home)


def test_a_directory_without_a_model_says_what_was_expected(home):
    with pytest.raises(ModelRefused, match="expected a model file, an MLflow model, a model of"):
        find_source(home)


def test_of_numbered_directories_the_highest_is_taken(home):
    for number in ("2", "10"):
        (home / number).mkdir()
        shutil.copy(ONNX, home / number / "model.onnx")
    assert find_source(home).model == home / "10" / "model.onnx"


def test_a_model_of_the_hub_is_found_beside_its_config(home):
    assert not is_hub_model(home)
    (home / "onnx").mkdir()
    shutil.copy(ONNX, home / "onnx" / "model.onnx")
    assert is_hub_model(home)
    assert files(find_source(home)) == ("model.onnx", "model.onnx", ())


@pytest.fixture
def cache(tmp_path, onnx_model, external):
    """As the hub's client keeps a model: its files are links into the blobs."""
    repo = tmp_path / "hub" / "models--owner--churn"
    snapshot = repo / "snapshots" / REVISION
    (snapshot / "onnx").mkdir(parents=True)
    (repo / "blobs").mkdir()
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(REVISION)
    model = onnx_model(initializers=[external("model.onnx_data")]).SerializeToString()
    for name, content in {"onnx/model.onnx": model, "onnx/model.onnx_data": bytes(16)}.items():
        blob = repo / "blobs" / name.replace("/", "-")
        blob.write_bytes(content)
        link = Path(*[".."] * (2 + name.count("/")), "blobs", blob.name)
        (snapshot / name).symlink_to(link)
    (snapshot / "config.json").write_text("{}")
    return repo


@pytest.mark.parametrize("named", ["", f"snapshots/{REVISION}", f"snapshots/{REVISION}/onnx"])
def test_the_cache_of_the_hub_is_published_with_the_data_beside_the_model(cache, tmp_path, named):
    source = find_source(cache / named)
    assert source.beside == ("model.onnx_data",)
    made = publish(tmp_path / "registry", "m", source, Details("t"))
    assert [one.path for one in made.manifest.files] == ["model.onnx", "model.onnx_data"]
    assert (made.directory / "model.onnx_data").read_bytes() == bytes(16)
    assert not any(one.is_symlink() for one in made.directory.iterdir())


@pytest.mark.parametrize("name", ["onnx/model.onnx", "onnx/model.onnx_data"])
def test_a_link_that_leads_out_of_the_cache_is_refused(cache, tmp_path, name):
    link = cache / "snapshots" / REVISION / name
    elsewhere = tmp_path / "elsewhere"
    shutil.copy(link, elsewhere)
    link.unlink()
    link.symlink_to(elsewhere)
    with pytest.raises(ModelRefused, match="leads out"):
        find_source(cache)


@pytest.mark.parametrize("content", ["0" * 40, "../../..", "", "é"])
def test_a_revision_that_is_not_there_is_refused(cache, content):
    (cache / "refs" / "main").write_text(content)
    with pytest.raises(ModelRefused):
        find_source(cache)


def test_without_a_revision_the_only_snapshot_is_taken(cache):
    shutil.rmtree(cache / "refs")
    assert find_source(cache).beside == ("model.onnx_data",)
    (cache / "snapshots" / "other").mkdir()
    with pytest.raises(ModelRefused, match="2 snapshots and no refs/main"):
        find_source(cache)
