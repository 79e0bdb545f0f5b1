"""Models in real processes of their own, seen from the server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from penstock.runtimes.contract import (
    LoadOptions,
    ModelAway,
    ModelExecutionError,
    ModelLoadError,
    ProcessEnded,
    ResourcesExhausted,
    UnsuitableInput,
)
from penstock.runtimes.discovery import runtimes
from penstock.runtimes.onnx import OnnxRuntime
from penstock.runtimes.python import PythonRuntime
from penstock.runtimes.testing import check_runtime
from penstock.server.isolation.model_process import ChildUnreached
from penstock.server.isolation.segment import FIRST_BYTES

REGISTRY = Path(__file__).parents[3] / "examples" / "registry"
ONNX = REGISTRY / "breast-cancer" / "1"

ECHO = """
import os, sys
import numpy as np
from penstock.runtimes.contract import UnsuitableInput

def answer(size, inputs):
    x = inputs["x"]
    if (x < 0).any():
        raise UnsuitableInput("x must not be negative")
    if (x == 7).any():
        raise KeyError("seven")
    if (x == 8).any():
        os._exit(5)
    if (x == 9).any():
        import mmap
        raise MemoryError("no room")
    if (x == 6).any():
        ask_for_ever()
    rows = len(x)
    modules = [one for one in ("msgspec", "onnxruntime", "uvicorn") if one in sys.modules]
    return {
        "y": np.repeat(x, 1, axis=0) * size,
        "t": np.array([s + b"!" for s in inputs["s"]] or [], object),
        "n": np.full(rows, len(modules), np.int64),
    }

def ask_for_ever():
    import gc
    from array import array
    from penstock.server.isolation.link import Link
    link = next(one for one in gc.get_objects() if isinstance(one, Link))
    while True:
        link.send(16, array("q", [1]).tobytes())
        link.expect()
        os.close(link.files.pop())


class Model:
    inputs = {"x": ("FP32", [-1, 2]), "s": ("BYTES", [-1])}
    outputs = {"y": ("FP32", [-1, 2]), "t": ("BYTES", [-1]), "n": ("INT64", [-1])}
    batch_axis = True
    metadata = {"author": "somebody"}

    def load(self, directory, mode="", size=1):
        if mode == "exit":
            os._exit(4)
        if mode == "hang":
            while True:
                pass
        if mode == "raise":
            raise RuntimeError("no such mood")
        self.size = size

    def predict(self, inputs):
        return answer(self.size, inputs)
"""


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "model.py").write_text(ECHO)
    return tmp_path


@pytest.fixture
def opened(directory, isolating):
    """Load the model with these settings; it is unloaded at the end."""
    models = []

    def load(count=1, python=None, **settings):
        runtime = isolating(PythonRuntime(), python, count)
        model = runtime.load(directory / "model.py", LoadOptions(settings=settings))
        model.changes = runtime.changes
        models.append(model)
        return model

    yield load
    for model in models:
        model.unload()


def inputs(*rows):
    x = np.array(rows, np.float32).reshape(-1, 2)
    return [x, np.array([b"s%d" % n for n in range(len(x))] + [None], object)[:-1]]


ALL = ("y", "t", "n")


def test_the_conformance_kit_passes_for_runtimes_in_processes_of_their_own(isolating, tmp_path):
    check_runtime(isolating(OnnxRuntime()), ONNX)
    (tmp_path / "model.py").write_text(ECHO)
    check_runtime(isolating(PythonRuntime(), count=2), tmp_path)


def test_answers_are_those_of_the_model_in_this_process(isolating):
    runtime = runtimes()["onnx_onnxv1"]
    path = runtime.find(ONNX)
    isolated, here = (one.load(path, LoadOptions()) for one in (isolating(runtime), runtime))
    assert isolated.signature == here.signature
    assert dict(isolated.metadata) == dict(here.metadata)
    names = [one.name for one in here.signature.outputs]
    for rows in (1, 5, 64, 0):
        x = np.random.default_rng(rows).random((rows, 30), np.float32)
        pairs = zip(isolated.execute([x], names), here.execute([x], names), strict=True)
        assert all(a.tobytes() == b.tobytes() and a.shape == b.shape for a, b in pairs)
    isolated.unload()
    with pytest.raises(ModelExecutionError, match="unloaded"):
        isolated.execute([np.zeros((1, 30), np.float32)], names)


def test_large_tensors_and_texts_go_to_and_fro(opened):
    model = opened()
    rows = FIRST_BYTES // 8 + 1000  # the first segment has no room for them
    x = np.arange(2 * rows, dtype=np.float32).reshape(-1, 2) + 100
    s = np.array([b"t" * (n % 50) for n in range(rows)], object)
    y, t, n = model.execute([x, s], ALL)
    assert y.tobytes() == x.tobytes()
    assert t.tolist() == [one + b"!" for one in s.tolist()]
    assert set(n.tolist()) == {0}  # the child imports nothing of the server
    (y,) = model.execute(inputs([1, 2]), ["y"])
    assert y.tolist() == [[1.0, 2.0]]


def test_errors_arrive_as_what_they_are_and_the_process_goes_on(opened):
    model = opened()
    pids = model.pids
    with pytest.raises(UnsuitableInput, match="must not be negative"):
        model.execute(inputs([-1, 0]), ALL)
    with pytest.raises(ModelExecutionError, match="KeyError: 'seven'"):
        model.execute(inputs([7, 0]), ALL)
    with pytest.raises(ResourcesExhausted, match="no room"):
        model.execute(inputs([9, 0]), ALL)
    assert model.execute(inputs([1, 2]), ["y"])[0].tolist() == [[1.0, 2.0]]
    assert (model.pids, model.deaths) == (pids, 0)


def test_a_process_that_runs_out_of_memory_again_and_again_is_replaced(opened):
    model = opened()
    pids = model.pids
    for _ in range(3):
        with pytest.raises(ResourcesExhausted):
            model.execute(inputs([9, 0]), ALL)
    assert model.execute(inputs([1, 2]), ["y"])[0].tolist() == [[1.0, 2.0]]
    assert model.pids != pids
    assert "ran out of memory" in model.changes[0].detail


def test_a_crash_is_told_with_its_cause_and_a_new_process_takes_the_next_run(opened):
    model = opened()
    with pytest.raises(ProcessEnded, match="ended with status 5 while it ran this request"):
        model.execute(inputs([8, 0]), ALL)
    assert model.execute(inputs([1, 2]), ["y"])[0].tolist() == [[1.0, 2.0]]
    (death,) = [one for one in model.changes if one is not None]
    assert death.blamed
    os.kill(model.pids[0], signal.SIGKILL)
    until(lambda: model.deaths == 2)
    assert model.execute(inputs([1, 2]), ["y"])[0].tolist() == [[1.0, 2.0]]
    assert [one.blamed for one in model.changes if one is not None] == [True, False]


@pytest.mark.parametrize("rows", [1, FIRST_BYTES // 8 + 1])
def test_a_process_that_ends_before_it_is_asked_has_run_nothing(opened, rows):
    model = opened()
    slot = model._pool.acquire()
    os.kill(model.pids[0], signal.SIGKILL)
    until(lambda: slot.process.child.ended)
    with pytest.raises(ChildUnreached) as gone:
        slot.process.run(inputs(*[[1, 2]] * rows), [0, 1, 2], 60.0)
    model._pool.bury(slot, gone.value.death)


def test_a_process_that_asks_for_memory_for_ever_is_ended(opened):
    model = opened()
    with pytest.raises(ProcessEnded, match="said what nobody understands: a message of kind 16"):
        model.execute(inputs([6, 0]), ALL)


def test_no_process_of_an_unloaded_model_is_handed_out(opened):
    model = opened()
    model._pool._closed = True  # as it is before the idle processes are ended
    with pytest.raises(ModelExecutionError, match="unloaded"):
        model._pool.acquire()
    model._pool._closed = False


def test_after_many_crashes_callers_are_told_when_to_come_back(opened):
    model = opened()
    slot = model._pool.slots[0]
    slot.failures = 10
    with pytest.raises(ProcessEnded):
        model.execute(inputs([8, 0]), ALL)
    with pytest.raises(ModelAway, match="ended with status 5; it is started again in") as away:
        model.execute(inputs([1, 2]), ALL)
    assert 20 < away.value.retry_after_seconds <= 30


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"mode": "exit"}, "loading it failed: its process ended with status 4"),
        ({"mode": "raise"}, "RuntimeError: no such mood"),
        ({"mood": "good"}, "does not take .*'mood'"),
    ],
)
def test_a_load_that_fails_says_why(opened, settings, reason):
    with pytest.raises(ModelLoadError, match=reason):
        opened(**settings)


@pytest.mark.parametrize("idle", [False, True])
def test_priorities_of_processes_count_beside_that_of_the_server(directory, isolating, idle):
    """Linux compares them within a session only, where it groups processes by sessions."""
    model = isolating(PythonRuntime(), idle=idle).load(directory / "model.py", LoadOptions())
    try:
        model.execute(inputs([1, 2]), ["y"])  # it is loaded, and has set its priority
        (pid,) = model.pids
        assert os.getsid(pid) == os.getsid(0)
        assert os.getpgid(pid) == pid  # so that what it starts is ended with it
        for task in Path(f"/proc/{pid}/task").iterdir():
            policy = os.sched_getscheduler(int(task.name))
            assert policy == (os.SCHED_IDLE if idle else os.SCHED_OTHER)
    finally:
        model.unload()


def test_two_processes_run_at_once(opened):
    model = opened(count=2)
    assert len(set(model.pids)) == 2
    slots = [model._pool.acquire(), model._pool.acquire()]
    assert slots[0] is not slots[1]
    waiting = threading.Thread(target=model.execute, args=(inputs([1, 2]), ALL))
    waiting.start()
    model._pool.release(slots[0])
    waiting.join(60)
    assert not waiting.is_alive()
    model._pool.release(slots[1])


def test_processes_end_with_the_one_that_started_them(directory):
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import Isolating
from pathlib import Path
from penstock.runtimes.contract import LoadOptions
from penstock.runtimes.python import PythonRuntime
path = Path({str(directory / "model.py")!r})
model = Isolating(PythonRuntime(), count=2).load(path, LoadOptions())
print(*model.pids, flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        pids = [int(one) for one in starter.stdout.readline().split()]
        assert len(pids) == 2
        starter.kill()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def until(condition, seconds=60.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it never came true"
        time.sleep(0.01)


def test_another_interpreter_runs_the_model_and_needs_numpy_only(opened):
    """As that of a version's own virtual environment, which does not know where Penstock is."""
    model = opened(python=Path(sys.executable), size=3)
    y, t, n = model.execute(inputs([1, 2]), ALL)
    assert (y.tolist(), t.tolist(), n.tolist()) == ([[3.0, 6.0]], [b"s0!"], [0])
    command = Path(f"/proc/{model.pids[0]}/cmdline").read_bytes().split(b"\0")
    assert command[1:3] == [b"-I", b"-c"]


def test_what_a_model_imports_leaves_no_file_in_its_version(opened, directory):
    (directory / "beside.py").write_text("SIZE = 5\n")
    code = (directory / "model.py").read_text()
    (directory / "model.py").write_text(f"import beside\n{code}")
    model = opened(size=2)
    assert model.execute(inputs([1, 2]), ALL)[0].tolist() == [[2.0, 4.0]]
    assert sorted(one.name for one in directory.iterdir()) == ["beside.py", "model.py"]
