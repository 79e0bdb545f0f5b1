"""A model that misbehaves in every way in a process of its own, in a real server."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from onnx import TensorProto, helper, save

pytestmark = pytest.mark.slow

MODEL = '''
import os
import signal
import subprocess
import threading
import time

import numpy as np

KEPT = []


class Model:
    """The second value of a row says what happens."""

    inputs = {"x": ("FP32", [-1, 2])}
    outputs = {"y": ("FP32", [-1, 1])}
    batch_axis = True

    def load(self, directory):
        print("loaded from", directory.name)

    def predict(self, inputs):
        x = inputs["x"]
        for mood in set(x[:, 1].astype(int).tolist()):
            if mood in MOODS:
                MOODS[mood]()
            if mood == 11:  # in a session of its own, for so many seconds
                subprocess.Popen(["sleep", str(int(x[0, 0]))], start_new_session=True)
        return {"y": 2 * x[:, :1]}


def forever():
    while True:
        pass


def allocate():
    KEPT.append(np.ones(10 << 30, np.uint8))


def leak_files():
    while True:
        KEPT.append(os.open("/dev/null", os.O_RDONLY))


def chatter():
    for number in range(20_000):
        print("line", number, "x" * 50)


def leave_threads():
    for _ in range(5):
        threading.Thread(target=time.sleep, args=(3600,)).start()


def fork_child():
    if os.fork() == 0:
        time.sleep(3600)
        os._exit(0)


MOODS = {
    1: lambda: os.kill(os.getpid(), signal.SIGKILL),
    2: lambda: os._exit(3),
    3: lambda: os.kill(os.getpid(), signal.SIGSEGV),
    4: forever,
    5: allocate,
    6: leak_files,
    7: chatter,
    8: leave_threads,
    9: fork_child,
    10: lambda: os.kill(os.getpid(), signal.SIGSTOP),
    12: lambda: sum(range(50_000_000)),  # one call, which holds the interpreter lock all the time
}
'''


def add_onnx(registry, name="good"):
    path = registry / name / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    node = helper.make_node("Neg", ["x"], ["y"])
    values = [helper.make_tensor_value_info(one, TensorProto.FLOAT, ["N", 1]) for one in ("x", "y")]
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def add_python(registry, name, code=MODEL, toml="", version=1):
    path = registry / name / str(version) / "model.py"
    path.parent.mkdir(parents=True)
    path.write_text(code)
    (registry / name / "model.toml").write_text(toml)


def body(*rows, width=2):
    data = [list(map(float, row)) for row in rows]
    tensor = {"name": "x", "datatype": "FP32", "shape": [len(rows), width], "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


class Others:
    """Somebody who asks another model all the time, until the end of the block."""

    def __init__(self, server, client):
        self._server, self._client = server, client
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.statuses = []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(60)

    def _ask(self):
        client = self._client(self._server.url)
        while not self._over.is_set():
            self.statuses.append(client.request("POST", "/v2/models/good/infer", GOOD)[0])
            time.sleep(0.002)  # leaves the processor to what is tested
        client.close()


GOOD = body([1.5], width=1)


def ask(server, client, model, *rows):
    """Status and answer of one request, on a connection of its own."""
    one = client(server.url)
    try:
        status, answer = one.request("POST", f"/v2/models/{model}/infer", body(*rows))
    finally:
        one.close()
    content = json.loads(answer)
    return status, content["outputs"][0]["data"] if status == 200 else content["error"]


def processes_of(server, model):
    """Ids of the processes of a model, as the status has them."""
    (worker,) = server.status()["workers"]
    (found,) = [one for one in worker["models"] if one["name"] == model]
    return found["processes"]["pids"] if found["processes"] else []


def renewed(server, model, before):
    """Whether one process runs, and is another one than before; reports come each second."""
    pids = processes_of(server, model)
    return len(pids) == 1 and pids != [before]


def sleepers(seconds):
    """Ids of the processes that sleep for so long."""
    found = []
    for place in Path("/proc").iterdir():
        with suppress(OSError):
            if (place / "cmdline").read_bytes() == b"sleep\0%d\0" % seconds:
                found.append(int(place.name))
    return found


def state_of(server, model):
    (found,) = [one for one in server.status()["models"] if one["name"] == model]
    return found["versions"][0]


TOML = """
run_timeout_seconds = 2
[process]
memory_bytes = "1GiB"
open_files = 128
"""


def test_whatever_a_model_does_in_its_process_nobody_else_notices(serve, client, tmp_path):
    registry = tmp_path / "registry"
    add_onnx(registry)
    # Five deaths of one of them would take it out of service.
    moods = {
        "killed": ("one", 1, 500, "was killed by SIGKILL while it ran this request"),
        "exits": ("one", 2, 500, "ended with status 3 while it ran this request"),
        "segfault": ("two", 3, 500, "was killed by SIGSEGV while it ran this request"),
        "loop": ("one", 4, 504, "gave no answer for 2 s, and was killed"),
        "allocates": ("two", 5, 500, "MemoryError"),
        "leaks": ("two", 6, 500, "Too many open files"),
        "prints": ("two", 7, 200, [20.0]),
        "threads": ("one", 8, 200, [20.0]),
        "forks": ("two", 9, 200, [20.0]),
        "stopped": ("two", 10, 504, "was stopped by a signal for 2 s, and was killed"),
    }
    for name in ("one", "two"):
        add_python(registry, name, toml=TOML)
    server = serve("--allow-code", "one, two", registry=registry, monitor=False)
    log = []
    reader = threading.Thread(target=lambda: log.extend(server.process.stderr), daemon=True)
    reader.start()
    worker = server.children()["worker-0"]
    with Others(server, client) as others:
        for what, (name, mood, wanted, words) in moods.items():
            assert ask(server, client, name, [1, 0]) == (200, [2.0])
            (before,) = processes_of(server, name)
            status, answer = ask(server, client, name, [10, mood])
            assert status == wanted, (what, answer)
            assert words == answer if wanted == 200 else words in answer, (what, answer)
            # The next request is answered, by the next process if need be.
            assert ask(server, client, name, [3, 0]) == (200, [6.0])
            if wanted != 200 and what != "allocates":
                server.until(lambda name=name, old=before: renewed(server, name, old))
            else:
                assert processes_of(server, name) == [before]
    assert set(others.statuses) == {200}
    assert server.children()["worker-0"] == worker
    metrics = server.metrics()
    assert metrics['penstock_process_restarts_total{process="worker-0"}'] == 0
    assert not [name for name, value in metrics.items() if "in_flight" in name and value]
    pids = [pid for name in ("one", "two") for pid in processes_of(server, name)]
    assert server.stop() == 0
    server.wait_gone(pids, 60)
    reader.join(60)
    printed = [line for line in log if "printed: line" in line]
    assert 0 < len(printed) < 1000
    assert any("more lines, not logged" in line for line in log)


@pytest.fixture(scope="module")
def server(serve_all, tmp_path_factory):
    """A server whose worker nobody kills, with a model for each of the tests that follow."""
    registry = tmp_path_factory.mktemp("isolated") / "registry"
    add_onnx(registry)
    add_python(registry, "split", toml="[batching]\nmax_hold_seconds = 1.0\nmax_batch_size = 8\n")
    add_python(registry, "crashes")
    add_python(registry, "locks", toml="run_timeout_seconds = 60\n")
    return serve_all("--allow-code", "split, crashes, locks", registry=registry, monitor=False)


def test_a_batch_with_a_request_that_crashes_is_split_once(server, client):
    answers = {}

    def call(number, mood):
        answers[number] = ask(server, client, "split", [number, mood])

    threads = [
        threading.Thread(target=call, args=(number, 2 if number == 5 else 0)) for number in range(8)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert answers[5][0] == 500
    good = [number for number, (status, _) in answers.items() if status == 200]
    assert all(answers[number] == (200, [2.0 * number]) for number in good)
    assert len(good) >= 4  # the half without it; the other half if they did not share a batch


def test_a_version_that_keeps_crashing_is_taken_out_of_service(server, client):
    worker = server.children()["worker-0"]
    with Others(server, client) as others:
        statuses = []
        while len(statuses) < 12 and (not statuses or statuses[-1] != 404):
            statuses.append(ask(server, client, "crashes", [1, 2])[0])
        server.until(lambda: state_of(server, "crashes")["state"] == "FAILED")
        opened = (
            'penstock_alerts_open{kind="registry.quarantine",model="crashes",severity="critical"}'
        )
        server.until(lambda: server.metrics().get(opened) == 1)
    assert statuses[:5] == [500] * 5
    assert set(statuses[5:]) <= {404, 500, 503}
    assert "taken out of service: 5 of its processes died" in state_of(server, "crashes")["reason"]
    assert set(others.statuses) == {200}
    assert server.children()["worker-0"] == worker
    # An operator has it tried again.
    assert server.command("/admin/models/crashes/versions/1/load") == 200
    assert ask(server, client, "crashes", [4, 0]) == (200, [8.0])
    server.until(lambda: not server.metrics().get(opened))


def test_code_that_nobody_allowed_is_not_run_and_its_processes_end_with_the_worker(
    serve, client, tmp_path
):
    registry = tmp_path / "registry"
    mark = tmp_path / "ran"
    add_python(registry, "foreign", f"open({str(mark)!r}, 'w')\n{MODEL}")
    add_python(registry, "moody", toml="[process]\ncount = 2\n")
    server = serve("--allow-code", "moody", registry=registry, monitor=False)
    assert "allow_code = 'foreign'" in state_of(server, "foreign")["reason"]
    assert not mark.exists()
    pids = processes_of(server, "moody")
    assert len(set(pids)) == 2
    # The control process loads no model, and imports no file of one.
    assert "onnxruntime" not in Path(f"/proc/{server.children()['control']}/maps").read_text()
    server.kill("worker-0")
    server.wait_gone(pids, 60)
    server.until(lambda: ask(server, client, "moody", [2, 0]) == (200, [4.0]))
    # A process that is killed while it has nothing to do is noticed, and no caller is.
    (first, *_) = processes_of(server, "moody")
    os.kill(first, signal.SIGKILL)
    server.wait_gone([first], 60)
    assert ask(server, client, "moody", [2, 0]) == (200, [4.0])
    server.until(lambda: len(processes_of(server, "moody")) == 2)


def test_what_a_model_has_started_ends_with_its_worker_and_with_its_process(
    serve, client, tmp_path
):
    registry = tmp_path / "registry"
    add_python(registry, "moody")
    server = serve("--allow-code", "moody", registry=registry, monitor=False)
    seconds = 10_000_000 + os.getpid()  # nobody else sleeps for so long
    ends = {
        "process": lambda: os.kill(*processes_of(server, "moody"), signal.SIGKILL),
        "worker": lambda: server.kill("worker-0"),
    }
    for what, end in ends.items():
        assert ask(server, client, "moody", [seconds, 11])[0] == 200, what
        server.until(lambda: len(sleepers(seconds)) == 1)
        end()
        server.until(lambda: not sleepers(seconds))
        server.until(lambda: ask(server, client, "moody", [2, 0]) == (200, [4.0]))


def test_a_model_that_holds_the_interpreter_lock_delays_no_other_model(server, client):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ask(server, client, "locks", [2, 12])))
    with Others(server, client) as others:
        server.until(lambda: others.statuses)
        before = len(others.statuses)
        thread.start()
        thread.join(120)
        during = len(others.statuses) - before
    assert answers == [(200, [4.0])]
    assert during > 20  # in the worker it would be one or two
    assert set(others.statuses) == {200}
