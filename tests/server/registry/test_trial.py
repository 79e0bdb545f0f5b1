"""The first load of a version: a crash or an endless load ends a process that serves nobody."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from penstock.monitoring.metrics.metrics import CounterFile
from penstock.runtimes.contract import ModelLoadError
from penstock.runtimes.discovery import runtimes
from penstock.server.config.config import load_config
from penstock.server.config.model_config import ModelConfig
from penstock.server.http.engine import Engine
from penstock.server.loading.load_order import LoadOrder
from penstock.server.loading.loading import Loader
from penstock.server.loading.proofs import (
    CRASHED,
    ERROR,
    LOADS,
    REFUSAL_SECONDS,
    REFUSED,
    TOO_LONG,
    Proof,
    Proofs,
    proof_key,
)
from penstock.server.loading.prover import Prover
from penstock.server.loading.trial import Trials
from penstock.server.processes.process_watch import waited_seconds
from penstock.server.serving.lifecycle import State
from penstock.server.target.plan import ModelPlan

ROW = ("N", 1)


def value(name, kind=TensorProto.FLOAT, shape=ROW):
    return helper.make_tensor_value_info(name, kind, list(shape))


def constant(name, number, kind):
    return numpy_helper.from_array(np.array(number, kind), name)


def model(nodes, constants=()):
    graph = helper.make_graph(nodes, "g", [value("x")], [value("y")], list(constants))
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def sound(factor=1.0):
    node = helper.make_node("Mul", ["x", "k"], ["y"])
    return model([node], [constant("k", [factor], np.float32)])


def crashes():
    """The processor stops onnxruntime with SIGFPE while it folds constants."""
    nodes = [
        helper.make_node("Div", ["a", "b"], ["q"]),
        helper.make_node("Cast", ["q"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["x", "f"], ["y"]),
    ]
    return model(nodes, [constant("a", [-(2**63)], np.int64), constant("b", [-1], np.int64)])


def never_ends():
    """A loop of 2**62 rounds: the file is sound and loads, and its first run does not come back."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("Identity", ["a"], ["a2"])],
        "body",
        [value("i", TensorProto.INT64, ()), value("c", TensorProto.BOOL, ()), value("a")],
        [value("c2", TensorProto.BOOL, ()), value("a2")],
    )
    node = helper.make_node("Loop", ["m", "t", "x"], ["y"], body=body)
    return model([node], [constant("m", 2**62, np.int64), constant("t", 1, np.bool_)])


def broken():
    """An operator that onnxruntime does not have in this set."""
    return model([helper.make_node("Identity", ["nobody"], ["y"])])


@pytest.fixture
def place(tmp_path):
    def write(name, content, version=1):
        directory = tmp_path / "registry" / name / str(version)
        directory.mkdir(parents=True)
        (directory / "model.onnx").write_bytes(content)
        return directory

    return write


@pytest.fixture
def config(tmp_path):
    (tmp_path / "state").mkdir()
    options = {"registry": str(tmp_path / "registry"), "state_dir": str(tmp_path / "state")}
    return load_config({**options, "load_timeout_seconds": "5"}, {})


class Counting:
    """Real trials, counted."""

    def __init__(self, config):
        self.trials = Trials(config)
        self.made = 0

    def make(self, order, copy, limit_seconds):
        self.made += 1
        return self.trials.make(order, copy, limit_seconds)

    def close(self):
        self.trials.close()


@pytest.fixture
def workers(config):
    """Makes the provers of several workers of one server."""
    made = []

    def worker():
        proofs = Proofs(config.state_dir / "proofs")
        loader = Loader(config, proofs)
        trials = Counting(config)
        prover = Prover(loader, proofs, trials)
        made.append((loader, prover))
        return prover, trials, loader

    yield worker
    for loader, prover in made:
        prover.close()
        loader.close()


def order(directory, **changes):
    made = LoadOrder("m", "1", directory, ModelConfig(), limit_seconds=5.0)
    return replace(made, **changes)


def test_a_version_that_loads_is_tried_once_for_all_workers_and_not_measured_again(
    place, workers, monkeypatch
):
    directory = place("m", sound())
    (first, trials, loader), (second, others, _) = workers(), workers()
    first.prove(order(directory))
    second.prove(order(directory))
    assert (trials.made, others.made) == (1, 0)
    measured = "penstock.server.loading.loading.warm_up"
    monkeypatch.setattr(measured, lambda *_: pytest.fail("it was measured again"))
    loaded = loader.load(order(directory))
    assert loaded.costs is not None
    loader.unload("m", "1", loaded.model)


@pytest.mark.parametrize(
    ("content", "limit_seconds", "reason"),
    [
        (crashes, 5.0, r"loading it crashed: its trial.* was killed by SIGFPE"),
        (never_ends, 1.0, r"loading it takes longer than load_timeout_seconds, 1 s"),
    ],
)
def test_what_crashes_or_hangs_is_refused_also_by_the_next_worker_and_start(
    place, workers, content, limit_seconds, reason
):
    directory = place("m", content())
    (first, trials, _), (second, others, _) = workers(), workers()
    for prover in (first, second):
        with pytest.raises(ModelLoadError, match=reason):
            prover.prove(order(directory, limit_seconds=limit_seconds))
    assert (trials.made, others.made) == (1, 0)
    # An operator who says so has it tried again.
    with pytest.raises(ModelLoadError, match=reason):
        second.prove(order(directory, limit_seconds=limit_seconds, retried_at=time.time()))
    assert others.made == 1


PLUGIN = """
import numpy as np
from penstock.runtimes.contract import Signature, TensorSpec

class Model:
    metadata = {}
    signature = Signature(*((TensorSpec(name, "FP32", (-1, 1)),) for name in "xy"), True)

    def execute(self, inputs, outputs):
        return [inputs[0] * np.float32(2) for _ in outputs]

    def unload(self):
        pass

class Runtime:
    platform = "embedded"

    def find(self, directory):
        path = directory / "model.embedded"
        return path if path.exists() else None

    def load(self, path, options):
        return Model()
"""


def test_a_trial_finds_the_plug_ins_that_only_this_process_looks_for(
    place, workers, tmp_path, monkeypatch
):
    """As those of an app that is served from within another program."""
    site = tmp_path / "site"
    info = site / "embedded_runtime-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "embedded_runtime.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: embedded-runtime\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[penstock.runtimes]\nembedded=embedded_runtime:Runtime\n"
    )
    monkeypatch.syspath_prepend(str(site))
    runtimes.cache_clear()
    directory = tmp_path / "registry" / "m" / "1"
    directory.mkdir(parents=True)
    (directory / "model.embedded").touch()
    prover, trials, _ = workers()
    try:
        prover.prove(order(directory))
    finally:
        monkeypatch.undo()
        runtimes.cache_clear()
    assert trials.made == 1


def test_a_crash_after_other_trials_in_one_process_is_blamed_on_the_right_version(place, workers):
    good, bad, other = place("a", sound()), place("b", crashes()), place("c", sound(2))
    prover, trials, _ = workers()
    prover.prove(order(good))
    with pytest.raises(ModelLoadError, match="SIGFPE"):
        prover.prove(order(bad))
    prover.prove(order(other))
    assert trials.made == 3


def test_a_refusal_names_the_place_that_the_operator_knows(place, workers):
    directory = place("m", broken())
    prover, _, _ = workers()
    with pytest.raises(ModelLoadError) as refusal:
        prover.prove(order(directory))
    assert "copies" not in str(refusal.value)


def test_trial_processes_end_with_their_parent_and_when_they_are_idle(config, place, workers):
    prover, trials, _ = workers()
    prover.prove(order(place("m", sound())))
    (idle,) = trials.trials._idle
    assert idle.process.wait(60) == 0


def test_a_trial_that_the_kernel_ends_for_its_memory_is_no_proof(config, place, workers):
    prover, trials, _ = workers()
    directory = place("m", never_ends())
    real = trials.trials._watch

    def killed(trial, message, limit):
        os.kill(trial.process.pid, signal.SIGKILL)
        return real(trial, message, limit)

    trials.trials._watch = killed
    for _ in range(2):
        with pytest.raises(ModelLoadError, match="as the kernel does when memory runs out"):
            prover.prove(order(directory))
    assert trials.made == 2


def engine_with(config, body):
    async def main():
        engine = Engine(config, CounterFile.anonymous())
        try:
            async with asyncio.timeout(300):  # what a load waits for a processor is no part of it
                await body(engine)
        finally:
            await engine.close()

    asyncio.run(main())


def plans(*directories):
    names = {one.parent.name: one for one in directories}
    return {n: ModelPlan(n, {1: one}, 1, {}, ModelConfig()) for n, one in names.items()}


def test_one_load_that_never_ends_keeps_no_other_from_serving(config, place):
    hanging, good = place("a", never_ends()), place("z", sound())
    late = place("late", sound(3))

    async def body(engine):
        catalog = engine.catalog
        applying = asyncio.create_task(engine.host.apply(plans(hanging, good)))
        while "z" not in catalog.models:  # noqa: ASYNC110  nobody tells of it
            await asyncio.sleep(0.01)
        assert catalog.statuses["a", "1"].state is State.LOADING
        reason = r"version 1 of model 'a': loading for \d+ s, limit 5 s"
        assert re.fullmatch(reason, catalog.why_not_ready())
        # A newer target does not wait either, and the load goes on.
        applying.cancel()
        await asyncio.gather(applying, return_exceptions=True)
        applying = asyncio.create_task(engine.host.apply(plans(hanging, good, late)))
        while "late" not in catalog.models:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await applying
        assert catalog.statuses["a", "1"].state is State.FAILED
        assert "load_timeout_seconds, 5 s" in catalog.statuses["a", "1"].reason
        assert catalog.ready
        assert catalog.why_not_ready() == ""

    engine_with(config, body)


def test_a_version_that_is_not_wanted_any_more_when_it_is_loaded_is_let_go(config, place):
    directory = place("m", sound())

    async def body(engine):
        applying = asyncio.create_task(engine.host.apply(plans(directory)))
        while ("m", "1") not in engine.catalog.statuses:  # noqa: ASYNC110
            await asyncio.sleep(0)
        applying.cancel()
        await asyncio.gather(applying, return_exceptions=True)
        await engine.host.apply({})
        while engine.catalog.statuses["m", "1"].state is not State.UNLOADED:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert engine.catalog.models == {}
        await engine.host.apply(plans(directory))
        assert engine.catalog.models["m"].default is not None

    engine_with(config, body)


def test_a_stop_does_not_wait_for_a_load(config, place):
    directory = place("m", never_ends())

    async def main():
        engine = Engine(replace(config, load_timeout_seconds=600.0), CounterFile.anonymous())
        applying = asyncio.create_task(engine.host.apply(plans(directory)))
        while ("m", "1") not in engine.catalog.statuses:  # noqa: ASYNC110
            await asyncio.sleep(0)
        began, waited = time.monotonic(), waited_seconds(os.getpid())
        await engine.close()
        applying.cancel()
        await asyncio.gather(applying, return_exceptions=True)
        return time.monotonic() - began - (waited_seconds(os.getpid()) - waited)

    assert asyncio.run(main()) < 2.0


# -- what is kept ------------------------------------------------------------------------------


def test_how_long_a_proof_holds():
    assert Proof(LOADS, at=1.0).holds(1e9, 1.0, 5.0)
    assert Proof(CRASHED, at=1.0).holds(1e9, 600.0, 0.0)
    assert not Proof(CRASHED, at=1.0).holds(1e9, 600.0, 5.0)
    assert Proof(TOO_LONG, at=1.0, limit_seconds=60.0).holds(1e9, 60.0, 0.0)
    assert not Proof(TOO_LONG, at=1.0, limit_seconds=60.0).holds(1e9, 61.0, 0.0)
    assert Proof(REFUSED, at=1.0).holds(REFUSAL_SECONDS, 60.0, 0.0)
    assert not Proof(REFUSED, at=1.0).holds(1.0 + REFUSAL_SECONDS, 60.0, 0.0)
    assert not Proof(ERROR, at=1.0).holds(1.0, 60.0, 0.0)


def test_a_proof_is_for_one_question_and_a_damaged_one_is_none(tmp_path):
    proofs = Proofs(tmp_path / "proofs")
    asked = order(Path("1"))
    key = proof_key("sha256:00", asked)
    proofs.keep(key, Proof(LOADS, rows=(1, 2), seconds=(0.5, 1.0)))
    assert Proofs(tmp_path / "proofs").find(key).costs.seconds == (0.5, 1.0)
    others = [
        proof_key("sha256:01", asked),
        proof_key("sha256:00", replace(asked, accepted=True)),
        proof_key("sha256:00", replace(asked, config=ModelConfig(threads=2))),
        proof_key("sha256:00", replace(asked, config=ModelConfig(settings={"a": 1}))),
    ]
    assert all(proofs.find(other) is None for other in others)
    for damage in (b"", b"{", b"[]", b'{"end": 1}', b"\xff"):
        (tmp_path / "proofs" / f"{key}.json").write_bytes(damage)
        assert proofs.find(key) is None


def test_a_library_of_operators_that_is_added_or_replaced_asks_another_question(tmp_path):
    library = tmp_path / "operators.so"
    library.write_bytes(b"first")
    given = Proofs(None, libraries=(str(library),))
    asked = order(Path("1"))
    without, first = Proofs(None).key("sha256:00", asked), given.key("sha256:00", asked)
    assert first == given.key("sha256:00", asked) != without
    library.write_bytes(b"another one")
    assert given.key("sha256:00", asked) not in {first, without}


def test_a_process_that_was_prepared_makes_the_first_trial(place, config):
    trials = Trials(config)
    trials.prepare()
    trials.prepare()  # once is enough
    (prepared,) = trials._idle
    loader = Loader(config)
    with loader.sound_copy(
        order := LoadOrder("m", "1", place("m", sound()), ModelConfig())
    ) as copy:
        assert trials.make(order, copy, 60.0).end == LOADS
    assert trials._idle == [prepared]
    trials.close()
    assert prepared.process.poll() is not None
    trials.prepare()
    assert trials._idle == []


def test_a_server_that_has_tried_versions_before_prepares_nothing(tmp_path):
    proofs = Proofs(tmp_path / "proofs")
    assert not proofs.any_kept()
    proofs.keep("a", Proof(LOADS))
    assert proofs.any_kept()
    assert Proofs(tmp_path / "proofs").any_kept()
