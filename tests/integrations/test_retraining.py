"""Retraining with real tools: Prefect and Dagster; both circles of ``docs/retraining.md``."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from penstock.monitoring.http_exchange import Exchange
from penstock.server.retrain.targets.contract import Order, TargetFailed
from penstock.server.retrain.targets.dagster import Dagster
from penstock.server.retrain.targets.http_api import HttpApi
from penstock.server.retrain.targets.prefect import Prefect
from penstock.server.retrain.targets.secret import Secret

HERE = Path(__file__).parent
LOOP = HERE.parents[1] / "examples" / "loop" / "run.py"
LIMIT_SECONDS = 240.0


def until(condition, seconds=LIMIT_SECONDS):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.2)
    return found


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def answers(url):
    with suppress(OSError), urllib.request.urlopen(url, timeout=5):
        return True
    return False


@contextmanager
def running(log, command, environ, cwd):
    with (
        log.open("w") as output,
        subprocess.Popen(
            list(map(str, command)),
            stdout=output,
            stderr=output,
            env={**os.environ, **environ},
            cwd=cwd,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def order(key, *, again=False, **parameters):
    payload = {"run": key, "model": "churn", "reason": "x", "parameters": parameters, "data": None}
    return Order(key, payload, again, time.time(), time.time() - 1, 60.0)


def api(url):
    return HttpApi(url, Exchange(30.0), Secret(), time.time)


def ended(target, handle):
    return until(lambda: (found := target.look(handle)).ended and found)


@pytest.fixture(scope="module")
def prefect(tmp_path_factory):
    """The root of the API of a server with one deployment, which is served."""
    place, port = tmp_path_factory.mktemp("prefect"), free_port()
    url = f"http://127.0.0.1:{port}/api"
    programs = Path(sys.prefix) / "prefect" / "bin"
    environ = {
        "PREFECT_HOME": str(place),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    server = [programs / "prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
    flow = [programs / "python", HERE / "pipelines" / "prefect_flow.py"]
    with running(place / "server.log", server, environ, place):
        until(lambda: answers(f"{url}/health"))
        with running(place / "flow.log", flow, environ, place):
            until(lambda: answers(f"{url}/deployments/name/retrain/churn"))
            yield url


def test_a_deployment_of_prefect_runs_once_for_a_key_and_is_followed(prefect):
    target = Prefect(api(prefect), "retrain/churn")
    handle = target.start(order("churn-1", seconds=1))
    assert target.start(order("churn-1", again=True, seconds=1)) == handle
    found = ended(target, handle)
    assert (found.succeeded, found.detail.partition(":")[0]) == (True, "COMPLETED")
    other = target.start(order("churn-2", fail=True))
    assert other != handle
    found = ended(target, other)
    assert not found.succeeded
    assert "no rows" in found.detail
    with pytest.raises(TargetFailed, match="404"):
        Prefect(api(prefect), "retrain/unknown").start(order("churn-3"))
    with pytest.raises(TargetFailed, match="404"):
        target.look("00000000-0000-0000-0000-000000000000")


@pytest.fixture(scope="module")
def dagster(tmp_path_factory):
    """The root of a webserver of Dagster with one job."""
    place, port = tmp_path_factory.mktemp("dagster"), free_port()
    for name in ("dagster.yaml", "dagster_job.py"):
        shutil.copy(HERE / "pipelines" / name, place)
    webserver = Path(sys.prefix) / "dagster" / "bin" / "dagster-webserver"
    command = [webserver, "-f", "dagster_job.py", "-h", "127.0.0.1", "-p", port]
    url = f"http://127.0.0.1:{port}"
    with running(place / "log", command, {"DAGSTER_HOME": str(place)}, place):
        until(lambda: answers(f"{url}/server_info"))
        yield url


def test_a_job_of_dagster_runs_once_for_a_key_and_is_followed(dagster):
    target = Dagster(api(dagster), "retrain", "dagster_job.py")
    handle = target.start(order("churn-1"))
    assert target.start(order("churn-1", again=True)) == handle
    assert ended(target, handle).succeeded
    failed = ended(target, target.start(order("churn-2", fail=True)))
    assert (failed.succeeded, failed.detail) == (False, "FAILURE")
    with pytest.raises(TargetFailed, match="nothing") as refused:
        Dagster(api(dagster), "nothing", "dagster_job.py").start(order("churn-3"))
    assert refused.value.final
    wrong = Dagster(api(dagster), "retrain", "dagster_job.py", config={"ops": {"x": 1}})
    with pytest.raises(TargetFailed, match="RunConfigValidationInvalid"):
        wrong.start(order("churn-3"))
    with pytest.raises(TargetFailed, match="RunNotFoundError"):
        target.look("00000000-0000-0000-0000-000000000000")


def test_the_example_promotes_a_better_model_and_refuses_a_worse_one():
    done = subprocess.run(
        [sys.executable, LOOP], capture_output=True, text=True, timeout=1200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1: 1 good promotions, 1 refusals of a worse model" in done.stdout
