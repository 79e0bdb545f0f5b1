"""Real servers and a real browser: what takes tools that `make test` does not need."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from playwright.sync_api import sync_playwright

from penstock.runtimes.telemetry import switch_off

switch_off()

_FOLLOWED = importlib.util.spec_from_file_location(
    "followed", Path(__file__).with_name("followed.py")
)
_followed = importlib.util.module_from_spec(_FOLLOWED)
_FOLLOWED.loader.exec_module(_followed)
mlflow, follow = _followed.mlflow, _followed.follow  # fixtures

EXAMPLES = Path(__file__).parents[2] / "examples" / "registry"
TREES = EXAMPLES.parent / "trees"
#: Names that mean something to HTML, to URLs or to JavaScript.
ODD_NAMES = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "quo\"te's & amp;",
    "a/b c?d=e#f%20",
    "名前 é \U0001f600",
    "__proto__",
    "constructor",
)


class Served:
    """A running ``penstock serve``."""

    def __init__(self, process, state):
        self.process = process
        self.state = state
        text = ""
        for line in process.stdout:
            text += line
            if line.startswith("  workers "):
                break
        assert "docs" in text, "the server did not start"
        self.url = re.search(r"docs +(\S+)/docs", text)[1]
        self.admin_url = re.search(r"metrics +(\S+)/metrics", text)[1]
        self.grpc_address, self.admin_grpc_address = (
            *re.findall(r"grpc://(\S+)", text),
            *(None, None),
        )[:2]

    def wait(self, seconds=300.0):
        """Until the models of the start are loaded."""
        end = time.monotonic() + seconds
        while True:
            with suppress(urllib.error.HTTPError):
                urllib.request.urlopen(f"{self.url}/v2/health/ready", timeout=60).close()
                return
            assert time.monotonic() < end, "the models are not loaded"
            time.sleep(0.1)


def stop(pid, *, traced):
    """Ask the server to end; strace does not hand the signal on, so its child gets it."""
    pids = [pid]
    if traced:
        pids = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    for one in pids:
        os.kill(one, signal.SIGTERM)


@contextmanager
def served(registry, state, *options, before=(), python=sys.executable, **environment):
    """Serve a registry for as long as the block lasts; ``before`` stands before the command."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_")}
    log = state.parent / f"{state.name}.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [
                *before,
                *(python, "-m", "penstock.server.cli.main", "serve", registry),
                *("--port", "0", "--admin-port", "0", "--state-dir", state),
                *("--run-dir", f"{state}-run", *options),
            ],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environ | environment,
        ) as process,
    ):
        try:
            yield Served(process, state)
        finally:
            stop(process.pid, traced=bool(before))
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def echo(inputs):
    """A model that gives its inputs back: names, types and shapes as they are given."""
    nodes, values, results = [], [], []
    for number, (name, kind, shape) in enumerate(inputs):
        nodes.append(helper.make_node("Identity", [name], [f"out {name}"], f"node{number}"))
        values.append(helper.make_tensor_value_info(name, kind, shape))
        results.append(helper.make_tensor_value_info(f"out {name}", kind, shape))
    graph = helper.make_graph(nodes, "echo", values, results)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


def write(registry, name, model):
    (registry / name / "1").mkdir(parents=True)
    onnx.save(model, registry / name / "1" / "model.onnx")


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    """The examples, and models whose names, types and shapes are unusual."""
    path = tmp_path_factory.mktemp("registry") / "models"
    shutil.copytree(EXAMPLES, path)
    single = [(name, TensorProto.FLOAT, ["rows", 2]) for name in ODD_NAMES]
    write(path, "odd.names_of-tensors", echo(single))
    kinds = (TensorProto.STRING, TensorProto.BOOL, TensorProto.INT64, TensorProto.FLOAT16)
    write(path, "constructor", echo([(f"x{kind}", kind, [None, 1]) for kind in kinds]))
    write(path, "0", echo([("scalar", TensorProto.DOUBLE, [])]))
    write(path, "picture", echo([("image", TensorProto.UINT8, [None, 3, 16, 24])]))
    write(path, "grey", echo([("image", TensorProto.FLOAT, [None, 16, 16, 1])]))
    for tree in TREES.iterdir():
        shutil.copytree(tree, path / tree.name)
    write(path, "wide", echo([("x", TensorProto.FLOAT, [None, 5000])]))
    constant = helper.make_node(
        "Constant", [], ["y"], value=onnx.numpy_helper.from_array(np.array([np.nan, np.inf]))
    )
    given = [helper.make_tensor_value_info("y", TensorProto.DOUBLE, [2])]
    graph = helper.make_graph([constant], "constant", [], given)
    write(
        path,
        "without-inputs",
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
    )
    return path


@pytest.fixture(scope="session")
def server(registry, tmp_path_factory):
    with served(registry, tmp_path_factory.mktemp("server") / "state") as one:
        wait_for_models(one.url, {path.name for path in registry.iterdir() if path.name[0] != "."})
        yield one


def wait_for_models(url, names, seconds=60.0):
    """Until every model answers: versions that were just copied are taken only when they rest."""
    end = time.monotonic() + seconds
    while True:
        with urllib.request.urlopen(f"{url}/openapi.json") as answer:
            paths = json.load(answer)["paths"]
        missing = {name for name in names if f"/v2/models/{name}/infer" not in paths}
        if not missing:
            return
        assert time.monotonic() < end, f"not served: {sorted(missing)}"
        time.sleep(0.1)


@pytest.fixture(scope="session")
def browser():
    """Chromium as the system has it."""
    program = shutil.which("chromium")
    assert program, "chromium is not installed; `make test-integrations` installs it as root"
    with sync_playwright() as playwright:
        # A container has no other sandbox; the pages are our own.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        running = playwright.chromium.launch(executable_path=program, args=options)
        yield running
        running.close()


@pytest.fixture
def page(browser):
    """A page; whatever the browser complains of fails the test."""
    context = browser.new_context()
    shown = context.new_page()
    complaints = []
    shown.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    shown.on(
        "console",
        lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None,
    )
    shown.on("requestfailed", lambda one: complaints.append(f"failed: {one.url}"))
    shown.complaints = complaints
    yield shown
    context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def serve():
    """`served`, for servers of another kind."""
    return served


class Programs:
    """Clients of other projects, in an environment of their own that the Makefile makes."""

    folder = Path(sys.prefix) / "clients"
    packages = folder / "npm" / "node_modules"

    def run(self, *command, timeout=300, cwd=None, env=None, given=None):
        """What a program prints; what it says of an error fails the test."""
        done = subprocess.run(
            [str(one) for one in command],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=cwd,
            env=env,
            input=given,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
        return done.stdout

    def python(self, script, *arguments, packages=""):
        """What a script prints as JSON; `packages` is a folder that it may import from."""
        found = {**os.environ, "PYTHONPATH": str(packages)}
        script = Path(__file__).parent / "clients" / script
        return json.loads(self.run(self.folder / "bin" / "python", script, *arguments, env=found))


@pytest.fixture(scope="session")
def programs():
    """The clients of other projects."""
    return Programs()


#: For predictions, and for loading models.
GRPC_PORTS = ("--grpc-port", "0", "--admin-grpc-port", "0")


@pytest.fixture(scope="module")
def triton_like(tmp_path_factory):
    """A server of the example models and of one that gives texts back, over HTTP and gRPC."""
    root = tmp_path_factory.mktemp("triton")
    shutil.copytree(EXAMPLES, root / "models")
    texts = [("words", TensorProto.STRING, ["rows", 3]), ("number", TensorProto.INT64, ["rows", 1])]
    write(root / "models", "texts", echo(texts))
    with served(root / "models", root / "state", *GRPC_PORTS) as server:
        wait_for_models(server.url, {"digits", "texts"})
        server.wait()
        yield server
