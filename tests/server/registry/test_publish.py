"""Publishing: all or nothing, never over an existing version, also beside other publishers."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from penstock.runtimes.contract import ModelLoadError
from penstock.server.errors import Conflict, InvalidRequest
from penstock.server.files.durable import locked
from penstock.server.files.refusal import ModelRefused
from penstock.server.registry.manifest import Run
from penstock.server.registry.mlflow_version import MlflowVersion
from penstock.server.registry.publish import Details, clean_staging, publish
from penstock.server.registry.publish_source import find_source
from penstock.server.registry.survey import scan
from penstock.server.registry.verification import read_manifest, verify

NOW = Details(created_at="2026-01-01T00:00:00+00:00")
MLMODEL = """\
artifact_path: model
flavors:
  onnx:
    code: null
    data: model.onnx
    onnx_version: 1.21.0
    providers:
    - CPUExecutionProvider
  python_function:
    data: other.onnx
    loader_module: mlflow.onnx
model_uuid: 0123456789abcdef
run_id: 'abc''123'
signature:
  inputs: '[{"type": "tensor", "name": "run_id: x",
    "tensor-spec": {"dtype": "float32", "shape": [-1, 4]}}]'
utc_time_created: '2026-01-01 00:00:00.000000'
"""


def names(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def registry(tmp_path):
    return tmp_path / "registry"


def test_a_version_is_there_with_its_manifest(registry, model_file):
    details = Details(
        created_at="t", run=Run("r", "c", {"lr": "1"}), data_hash="h", metrics={"auc": 0.5}
    )
    seen = []
    published = publish(registry, "m", find_source(model_file), details, progress=seen.append)
    assert published.directory == registry / "m" / "1"
    assert read_manifest(published.directory) == published.manifest
    assert verify(published.directory, published.manifest) == ()
    assert published.manifest.run == details.run
    assert sum(seen) == model_file.stat().st_size
    assert scan(registry).models["m"].versions == {1: published.directory}
    assert names(registry / "m") == ["1"]
    assert not (published.directory / "model.onnx").stat().st_mode & 0o222


def test_numbers_follow_the_highest_in_use(registry, model_file):
    source = find_source(model_file)
    assert publish(registry, "m", source, NOW).manifest.version == 1
    assert publish(registry, "m", source, Details("t", version=7)).manifest.version == 7
    assert publish(registry, "m", source, NOW).manifest.version == 8


def test_a_version_never_changes(registry, model_file):
    first = publish(registry, "m", find_source(model_file), Details("t", version=4))
    with pytest.raises(Conflict, match=r"version 4 of model 'm' exists.* number is 5"):
        publish(registry, "m", find_source(model_file), Details("t2", version=4))
    assert read_manifest(first.directory) == first.manifest


def test_a_version_of_mlflow_is_published_once(registry, model_file):
    source = find_source(model_file)
    three = MlflowVersion("churn", "3", "1732000000000")
    details = Details("t", metadata=three.metadata)
    assert publish(registry, "m", source, NOW).manifest.version == 1
    first = publish(registry, "m", source, details)
    assert (first.manifest.version, first.new) == (2, True)
    again = publish(registry, "m", source, details)
    assert (again.manifest, again.new, again.directory) == (first.manifest, False, first.directory)
    assert names(registry / "m") == ["1", "2"]
    with pytest.raises(Conflict, match="models:/churn/3 is version 2 already"):
        publish(registry, "m", source, replace(details, version=7))
    made_again = replace(three, created="1733000000000")
    assert publish(registry, "m", source, Details("t", metadata=made_again.metadata)).new


@pytest.mark.parametrize("name", ["../x", ".m", "", "a/b", "a b", "x" * 200])
def test_a_bad_name_is_refused_before_anything_is_made(registry, model_file, name):
    with pytest.raises(InvalidRequest, match="not a model name"):
        publish(registry, name, find_source(model_file), NOW)
    assert not registry.exists()


@pytest.mark.parametrize("number", [0, -1, 10**20])
def test_a_bad_number_is_refused(registry, model_file, number):
    with pytest.raises(InvalidRequest, match="whole number from 1"):
        publish(registry, "m", find_source(model_file), Details("t", version=number))


@pytest.mark.parametrize("content", ["", "[]", "{}", "3", '"x"', "[" * 100_000])
def test_bad_examples_are_refused(registry, model_file, tmp_path, content):
    examples = tmp_path / "rows.json"
    examples.write_text(content)
    with pytest.raises(InvalidRequest, match=r"rows\.json"):
        publish(registry, "m", find_source(model_file), Details("t", examples=examples))


def test_examples_are_published_and_hashed(registry, model_file, tmp_path):
    examples = tmp_path / "rows.json"
    examples.write_text(json.dumps([[1, 2, 3, 4]]))
    published = publish(registry, "m", find_source(model_file), Details("t", examples=examples))
    assert {one.path for one in published.manifest.files} == {"model.onnx", "examples.json"}
    assert verify(published.directory, published.manifest) == ()


def test_data_beside_the_model_comes_along(registry, tmp_path, onnx_model, external):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(bytes(16))
    (tmp_path / "unrelated.bin").write_bytes(b"x")
    file = tmp_path / "net.onnx"
    file.write_bytes(onnx_model(initializers=[external("data/w.bin")]).SerializeToString())
    published = publish(registry, "m", find_source(file), NOW)
    assert {one.path for one in published.manifest.files} == {"model.onnx", "data/w.bin"}


@pytest.mark.parametrize("location", ["../w.bin", "manifest.json", "link.bin", "gone.bin"])
def test_data_elsewhere_is_not_taken(registry, tmp_path, onnx_model, external, location):
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "w.bin").write_bytes(bytes(16))
    (home / "manifest.json").write_bytes(bytes(16))
    (home / "link.bin").symlink_to(tmp_path / "w.bin")
    (home / "net.onnx").write_bytes(
        onnx_model(initializers=[external(location)]).SerializeToString()
    )
    with pytest.raises(ModelRefused):
        find_source(home / "net.onnx")


def test_what_is_refused_or_fails_leaves_nothing(registry, tmp_path, onnx_model, model_file):
    from onnx import helper

    node = helper.make_node("Shell", ["x"], ["y"], domain="evil")
    evil = tmp_path / "evil.onnx"
    evil.write_bytes(onnx_model([node], domains={"evil": 1}).SerializeToString())
    with pytest.raises(ModelRefused, match="Shell"):
        publish(registry, "m", find_source(evil), NOW)

    def check(directory):
        raise ModelLoadError(f"no runtime for {directory.name[:8]}")

    with pytest.raises(ModelLoadError, match="no runtime"):
        publish(registry, "m", find_source(model_file), NOW, check=check)
    assert names(registry) == []
    publish(registry, "m", find_source(model_file), NOW)
    with pytest.raises(ModelRefused, match="Shell"):
        publish(registry, "m", find_source(evil), NOW)
    assert names(registry / "m") == ["1"]


def test_an_mlflow_model_is_published_with_its_run(registry, tmp_path, model_file):
    home = tmp_path / "mlflow"
    home.mkdir()
    model_file.rename(home / "model.onnx")
    (home / "MLmodel").write_text(MLMODEL)
    published = publish(registry, "m", find_source(home), NOW)
    assert published.manifest.run.run_id == "abc'123"
    assert [one.path for one in published.manifest.files] == ["model.onnx"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MLMODEL.replace("  onnx:", "  sklearn:"), "flavours python_function, sklearn, expected"),
        (MLMODEL.replace("data: model.onnx", "data: ../model.onnx"), "leads upwards"),
        (MLMODEL.replace("data: model.onnx", "data: /etc/passwd"), "absolute"),
        (MLMODEL.replace("data: model.onnx", "data: link"), "out of the MLflow model"),
        ("", "flavours none"),
        ("\xff", "flavours none"),
    ],
)
def test_an_mlflow_model_without_an_onnx_file_is_refused(tmp_path, model_file, text, message):
    home = tmp_path / "mlflow"
    home.mkdir()
    (home / "link").symlink_to(model_file)
    (home / "MLmodel").write_text(text)
    with pytest.raises(ModelRefused, match=message):
        find_source(home)


def test_a_directory_that_is_no_mlflow_model_is_refused(tmp_path):
    with pytest.raises(ModelRefused, match="without MLmodel"):
        find_source(tmp_path)


def test_leftovers_are_removed_and_work_in_progress_is_not(registry, model_file):
    home = registry / "m"
    (home / ".staging-1-dead").mkdir(parents=True)
    (home / ".staging-1-dead" / "model.onnx").write_bytes(b"half")
    (home / ".staging-2-live").mkdir()
    with locked(home / ".staging-2-live"):
        assert scan(registry).models == {}
        publish(registry, "m", find_source(model_file), NOW)
        assert names(home) == [".staging-2-live", "1"]
    clean_staging(home)
    assert names(home) == ["1"]


def push_many(registry, file, count, numbers):
    source = find_source(file)
    for _ in range(count):
        numbers.put(publish(registry, "m", source, NOW).manifest.version)


def test_pushes_at_once_get_numbers_of_their_own(registry, model_file):
    context = multiprocessing.get_context("spawn")
    numbers = context.Queue()
    pushers = [
        context.Process(target=push_many, args=(registry, model_file, 10, numbers))
        for _ in range(3)
    ]
    for one in pushers:
        one.start()
    got = [numbers.get(timeout=60) for _ in range(30)]
    for one in pushers:
        one.join()
    assert sorted(got) == list(range(1, 31))
    for number in got:
        directory = registry / "m" / str(number)
        manifest = read_manifest(directory)
        assert manifest.version == number
        assert verify(directory, manifest) == ()


def test_a_killed_push_leaves_only_whole_versions(registry, model_file):
    """At any moment of many pushes in a row."""
    script = (
        "import sys; from pathlib import Path\n"
        "from penstock.server.registry.publish import Details, publish\n"
        "from penstock.server.registry.publish_source import find_source\n"
        "source = find_source(Path(sys.argv[2]))\n"
        "while True:\n"
        "    made = publish(Path(sys.argv[1]), 'm', source, Details('t'))\n"
        "    print(made.manifest.version, flush=True)\n"
    )
    reported = 0
    for rounds in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", script, registry, model_file], stdout=subprocess.PIPE, text=True
        ) as pusher:
            for _ in range(rounds + 1):
                reported = int(pusher.stdout.readline())
            pusher.send_signal(signal.SIGKILL)
            for line in pusher.stdout:
                reported = int(line)
    versions = scan(registry).models["m"].versions
    assert max(versions) in {reported, reported + 1}
    for directory in versions.values():
        assert verify(directory, read_manifest(directory)) == ()


def test_a_model_in_a_cache_of_the_hugging_face_hub_is_published_whole(
    registry, tmp_path, onnx_model, external
):
    cache = tmp_path / "models--a--b"
    snapshot, blobs = cache / "snapshots" / "c0ffee", cache / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    model = onnx_model(initializers=[external("model.onnx_data")])
    (blobs / "aa").write_bytes(model.SerializeToString())
    (blobs / "bb").write_bytes(bytes(16))
    (snapshot / "model.onnx").symlink_to("../../blobs/aa")
    (snapshot / "model.onnx_data").symlink_to("../../blobs/bb")
    published = publish(registry, "m", find_source(snapshot / "model.onnx"), NOW)
    assert {one.path for one in published.manifest.files} == {"model.onnx", "model.onnx_data"}
    assert not any(one.is_symlink() for one in published.directory.iterdir())


def test_data_with_a_second_name_is_not_published(tmp_path, onnx_model, external):
    (tmp_path / "secret").write_bytes(bytes(16))
    home = tmp_path / "home"
    home.mkdir()
    os.link(tmp_path / "secret", home / "w.bin")
    model = onnx_model(initializers=[external("w.bin")])
    (home / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelRefused, match="hard link"):
        find_source(home / "net.onnx")
