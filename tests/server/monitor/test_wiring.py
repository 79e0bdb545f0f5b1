"""A version that becomes worse opens one alert, and closes it when it is good again."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from io import StringIO

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from rich.console import Console

from penstock.monitoring.feedback.label import Label
from penstock.monitoring.feedback.metrics import FeedbackCollector
from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.feedback.report import Span, performance
from penstock.monitoring.feedback.store import FeedbackStore
from penstock.monitoring.samples.samples import BatchSample
from penstock.server.cli.performance import performance_view
from penstock.server.config.config import ServerConfig
from penstock.server.config.model_config import ModelConfig
from penstock.server.monitor.feedback_setup import VersionOptions, feedback_store
from penstock.server.registry.publish import Details, publish
from penstock.server.registry.publish_source import find_source
from penstock.server.target.plan import ModelPlan
from penstock.server.target.target import Target, write_target

NOW = 1_700_000_000.0


def plan(config):
    return ModelPlan(
        name="m", versions={}, default=None, aliases={}, config=config, pinned=False, accepted=()
    )


def play(store, rng, start, count, accuracy, source=""):
    """Predictions of class 1, and labels that agree so often."""
    ids = [b"%d" % number for number in range(start, start + count)]
    now = NOW + start * 864.0
    store.take(
        [
            BatchSample(
                model="m",
                version="3",
                time=now,
                request_ids=ids,
                offsets=list(range(count + 1)),
                statuses=[200] * count,
                latencies=[0.0] * count,
                input_names=(),
                inputs=[],
                output_names=("label",),
                outputs=[np.ones(count, np.int64)],
                times=[now] * count,
            )
        ]
    )
    store.tick(now)
    labels = [Label(one.decode(), int(rng.random() < accuracy), now, source=source) for one in ids]
    store.feedback(labels, now)


def test_one_alert_for_one_episode(tmp_path):
    rng = np.random.default_rng(2)
    mended = feedback_store(ServerConfig(), tmp_path / "target", tmp_path, lambda: 0.0)
    store = mended.use(lambda one: one)
    start = 0
    for accuracy, rounds in ((0.9, 30), (0.7, 6), (0.9, 12)):
        for _ in range(rounds):
            play(store, rng, start, 100, accuracy)
            start += 100
    store.close()
    with sqlite3.connect(tmp_path / "alerts.db") as database:
        found = database.execute(
            "SELECT state, kind, model, version, episode FROM alerts"
        ).fetchall()
    assert [one[0] for one in found] == ["opened", "closed"]
    assert {one[1:4] for one in found} == {("performance", "m", "3")}
    assert len({one[4] for one in found}) == 1
    families = {one.name: one for one in FeedbackCollector(tmp_path).collect()}
    (alarm,) = families["penstock_performance_alarm"].samples
    assert (alarm.labels, alarm.value) == ({"model": "m", "version": "3"}, 0.0)
    (labels,) = families["penstock_labels"].samples
    assert labels.value == start


def test_labels_of_another_source_are_told_as_such_and_not_as_worse(tmp_path):
    """In the alert, in the report, and on the command line."""
    rng = np.random.default_rng(2)
    store = feedback_store(ServerConfig(), tmp_path / "target", tmp_path, lambda: 0.0).use(
        lambda one: one
    )
    for number in range(40):
        source, accuracy = ("ann", 0.9) if number < 30 else ("ben", 0.7)
        play(store, rng, 100 * number, 100, accuracy, source)
    found = performance(tmp_path, "m", Span(0.0, 1e10, 86_400.0))
    store.close()
    with sqlite3.connect(tmp_path / "alerts.db") as database:
        (alert,) = database.execute("SELECT kind, summary FROM alerts").fetchall()
    assert alert[0] == "labelling.changed"
    assert "labelling changed: cannot tell" in alert[1]
    (version,) = found["versions"]
    assert version["change"]["cannot_tell"] == "labels come from another source, 'ben'"
    console = Console(width=200, record=True, file=StringIO())
    console.print(performance_view(found))
    assert "labelling changed: cannot tell, because labels come" in console.export_text()


def test_options_follow_the_target(tmp_path):
    options = VersionOptions(tmp_path / "target", tmp_path / "registry")
    options.refresh()
    assert options.of("m", "3").positive is None
    config = ModelConfig()
    config = replace(config, feedback=replace(config.feedback, positive="yes"))
    write_target(tmp_path / "target", Target(1, {"m": plan(config)}))
    options.refresh()
    assert options.of("m", "3").positive == "yes"


@pytest.fixture
def model_file(tmp_path):
    node = helper.make_node("Identity", ["x"], ["y"])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy")
    graph = helper.make_graph([node], "g", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
              tmp_path / "model.onnx")  # fmt: skip
    return tmp_path / "model.onnx"


def publish_with(tmp_path, model_file, metrics):
    details = Details("2031-05-01T12:00:00Z", metrics=metrics)
    made = publish(tmp_path / "registry", "m", find_source(model_file), details)
    return made.manifest.version, made.directory


def test_the_accuracy_to_expect_is_that_of_the_manifest_unless_somebody_says_so(
    tmp_path, model_file
):
    (tmp_path / "registry").mkdir()
    versions = dict(
        publish_with(tmp_path, model_file, metrics)
        for metrics in ({"accuracy": 0.97}, {"accuracy": 97.0}, {"f1": 0.9}, {"accuracy": 0.8})
    )
    bare = tmp_path / "bare"
    bare.mkdir()

    def expected(feedback, versions):
        config = replace(ModelConfig(), feedback=feedback)
        served = {"m": replace(plan(config), versions=versions)}
        write_target(tmp_path / "target", Target(1, served))
        options.refresh()
        return [options.of("m", str(number)).expected_accuracy for number in range(1, 6)]

    options = VersionOptions(tmp_path / "target", tmp_path / "registry")
    of_manifests = [0.97, None, None, 0.8, None]
    assert expected(FeedbackOptions(), {**versions, 5: bare}) == of_manifests
    # A version that is gone is judged as before: its labels come for weeks.
    assert expected(FeedbackOptions(), {4: versions[4]}) == of_manifests
    assert expected(FeedbackOptions(expected_accuracy=0.5), versions) == [0.5] * 5
    assert expected(FeedbackOptions(kind="regression"), versions) == [None] * 5


def test_without_a_disk_there_is_no_keeper_until_there_is_one(tmp_path):
    (tmp_path / "file").write_text("")
    store = feedback_store(ServerConfig(), tmp_path / "target", tmp_path / "file", lambda: 0.0)
    with pytest.raises(sqlite3.OperationalError, match="cannot be opened now"):
        store.use(lambda one: one)
    (tmp_path / "file").unlink()
    (tmp_path / "file").mkdir()
    store.tick(60.0)
    assert isinstance(store.use(lambda one: one), FeedbackStore)
    store.close()
