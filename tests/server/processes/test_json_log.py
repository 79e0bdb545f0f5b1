"""``--log-format json``: every line of every process is one JSON object, from any library."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

STRAY = """
import ctypes, os, sys, threading, warnings
from penstock.server.config.config import ServerConfig
from penstock.server.processes.logs import configure_logs
import logging
configure_logs(ServerConfig(log_format="json"), "worker-0")
print("a plug-in prints")
os.write(2, b"native words\\nof two lines \\xff\\n")
warnings.warn("something is old", DeprecationWarning)
thread = threading.Thread(target=lambda: 1 / 0, name="t")
thread.start(); thread.join()
class Bad:
    def __del__(self): raise ValueError("in del")
bad = Bad(); del bad
import subprocess
subprocess.run([sys.executable, "-c", "1 / 0"])
import time; time.sleep(0.5)  # the reader of the pipe is another thread
sys.stdout.flush()
raise SystemError("the end")
"""


def objects(text):
    lines = [line for line in text.splitlines() if line.strip()]
    return [json.loads(line) for line in lines]


def test_whatever_a_process_writes_is_json():
    done = subprocess.run(
        [sys.executable, "-c", STRAY], capture_output=True, text=True, check=False, timeout=30
    )
    found = objects(done.stderr)
    assert done.stdout == ""
    assert all({"time", "level", "process", "message"} <= set(one) for one in found)
    text = json.dumps(found)
    for words in ("native words", "of two lines", "something is old", "thread t ends", "in del"):
        assert words in text
    assert [one for one in found if "ZeroDivisionError" in one.get("exception", "")]
    assert "SystemError: the end" in found[-1]["exception"]


def test_a_start_that_fails_is_told_in_json(command, tmp_path):
    process = command("serve", tmp_path / "absent", "--log-format", "json")
    out, errors = process.communicate(timeout=60)
    (found,) = objects(out + errors)
    assert (process.returncode, found["level"]) == (2, "error")
    assert str(tmp_path / "absent") in found["message"]


def test_every_line_of_a_server_is_json(command, tmp_path, examples_registry):
    registry = tmp_path / "registry"
    (registry / "broken" / "1").mkdir(parents=True)
    (registry / "broken" / "1" / "model.onnx").write_bytes(b"no model")
    (registry / "bc").symlink_to(examples_registry / "breast-cancer")
    process = command(
        *("serve", registry, "--port", 0, "--admin-port", 0, "--log-format", "json"),
        *("--run-dir", tmp_path / "run", "--state-dir", tmp_path / "state", "--access-log"),
    )
    banner = json.loads(process.stdout.readline())
    assert banner["predict_url"].startswith("http://127.0.0.1:")
    lines = []

    def read_until(*words):
        for line in process.stderr:
            lines.append(line)
            if all(word in line for word in words):
                return

    read_until('"control"', "target 1")
    pid = process.pid
    children = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    os.kill(children[-1], signal.SIGKILL)
    read_until("starting it again")
    read_until('"worker-0"', "target 1 is applied")
    process.terminate()
    out, errors = process.communicate(timeout=60)
    found = objects("".join(lines) + errors + out)
    assert {"supervisor", "control", "worker-0"} <= {one["process"] for one in found}
    assert any("stopping" in one["message"] for one in found)
