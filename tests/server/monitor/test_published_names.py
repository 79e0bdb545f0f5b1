"""The monitor knows classes and columns of a version from its manifest, also of a private copy."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penstock.monitoring.feedback.label import Label
from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.feedback.report import Span, performance
from penstock.monitoring.samples.samples import BatchSample
from penstock.runtimes.contract import VARIABLE, Column, Signature, TensorSpec
from penstock.server.config.config import ServerConfig
from penstock.server.config.model_config import ModelConfig
from penstock.server.drift.versions import TargetVersions
from penstock.server.monitor.feedback_setup import feedback_store
from penstock.server.registry.class_names import class_names
from penstock.server.registry.verification import read_manifest
from penstock.server.target.plan import ModelPlan
from penstock.server.target.target import Target, write_target

TREES = Path(__file__).resolve().parents[3] / "examples" / "trees"
SPECIES = ("setosa", "versicolor", "virginica")
NOW = 1_900_000_000.0


@pytest.fixture
def registry(tmp_path):
    """A registry, and a target that serves the private copy of its one version."""
    registry = shutil.copytree(TREES, tmp_path / "registry")
    version = registry / "iris" / "1"
    (tmp_path / "copies").mkdir(mode=0o700)
    digest = read_manifest(version).digest.removeprefix("sha256:")
    copy = tmp_path / "copies" / digest
    copy.mkdir()
    shutil.copy(version / "model.ubj", copy)
    serve(tmp_path, copy)
    return registry


def serve(tmp_path, copy, feedback=None):
    config = replace(ModelConfig(), feedback=feedback or FeedbackOptions())
    plan = ModelPlan("iris", {1: copy}, 1, {}, config)
    write_target(tmp_path / "target", Target(1, {"iris": plan}))


def predicted(label, count):
    ids = [b"%d" % number for number in range(count)]
    scores = np.full((count, 3), 0.1, np.float32)
    scores[np.arange(count), label] = 0.8
    return BatchSample(
        model="iris",
        version="1",
        time=NOW,
        request_ids=ids,
        offsets=list(range(count + 1)),
        statuses=[200] * count,
        latencies=[0.0] * count,
        input_names=("features",),
        inputs=[np.random.default_rng(1).normal(size=(count, 4)).astype(np.float32)],
        output_names=("label", "probabilities"),
        outputs=[np.array(label, np.int64), scores],
        times=[NOW] * count,
    )


def accuracy(tmp_path, registry, labels):
    state = tmp_path / "state"
    state.mkdir()
    config = replace(ServerConfig(), registry=registry)
    store = feedback_store(config, tmp_path / "target", state, lambda: NOW).use(lambda one: one)
    store.take([predicted([0, 1, 2, 0], 4)])
    store.tick(NOW + 60)
    store.feedback([Label(str(n), one, NOW) for n, one in enumerate(labels)], NOW)
    store.tick(NOW + 60)
    found = performance(state, "iris", Span(NOW - 100, NOW + 100, 1000.0))
    store.close()
    (version,) = found["versions"]
    return version


@pytest.mark.parametrize("labels", [[*SPECIES, "virginica"], [0, 1, 2, 2]])
def test_labels_have_the_names_that_answers_have(tmp_path, registry, labels):
    found = accuracy(tmp_path, registry, labels)
    assert (found["labels"], found["not_comparable"]) == (4, 0)
    assert found["figures"]["accuracy"]["value"] == 0.75


def test_the_options_of_the_owner_come_first(tmp_path, registry):
    (copy,) = (tmp_path / "copies").iterdir()
    serve(tmp_path, copy, FeedbackOptions(classes=("a", "b", "c")))
    assert accuracy(tmp_path, registry, ["a", "b", "c", "a"])["figures"]["accuracy"]["value"] == 1.0


def test_drift_calls_columns_and_scores_as_the_model_does(tmp_path, registry):
    versions = TargetVersions(tmp_path / "target", tmp_path, registry, lambda: NOW)
    known = versions.known("iris", "1")
    assert not list(known.rows([predicted([0, 1, 2, 0], 4)]))
    known = versions.known("iris", "1")
    list(known.rows([predicted([0, 1, 2, 0], 4)]))
    names = set(known.learner.columns())
    assert {"sepal length (cm)", "petal width (cm)", "label"} <= names
    assert {f"probabilities[{one}]" for one in SPECIES} <= names
    found = known.learner.columns()["label"].values.tolist()
    assert found == [b"setosa", b"versicolor", b"virginica", b"setosa"]


LABEL = TensorSpec("label", "INT64", (VARIABLE,))
TEXT = TensorSpec("label", "BYTES", (VARIABLE,))
NAMED = replace(LABEL, columns=(Column("label", ("no", "yes")),))
SCORES = TensorSpec("p", "FP32", (VARIABLE, 2), columns=(Column("no"), Column("yes")))


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        ((NAMED, SCORES), ("no", "yes")),
        ((TEXT, SCORES), ("no", "yes")),
        ((SCORES,), ("no", "yes")),
        ((LABEL, SCORES), ()),  # the model may number its classes 3 and 7
        ((replace(SCORES, columns=()),), ()),
        ((TEXT,), ()),
    ],
)
def test_names_are_taken_only_where_they_are_those_of_the_label(outputs, names):
    assert class_names(Signature((), outputs, batch_axis=True)) == names


def test_without_a_manifest_nothing_has_a_name():
    assert class_names(None) == ()
