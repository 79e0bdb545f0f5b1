"""What is shipped for Prometheus, Alertmanager, Grafana and an engine, parsed."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
REGISTRY = ROOT / "examples" / "registry"
BODY = json.dumps(
    {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 30], "data": [[0.5] * 30]}]}
)


@pytest.fixture(scope="session")
def rules() -> list[dict[str, Any]]:
    """Every rule, recording or alerting."""
    content = yaml.safe_load((DEPLOY / "prometheus" / "penstock.rules.yml").read_text())
    return [rule for group in content["groups"] for rule in group["rules"]]


@pytest.fixture(scope="session")
def dashboards() -> dict[str, Any]:
    """By file name."""
    folder = DEPLOY / "grafana" / "dashboards"
    return {path.name: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


@pytest.fixture(scope="session")
def documented() -> dict[str, set[str]]:
    """Metric as in an expression -> its labels, from the tables of the metrics page."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    (listed,) = re.findall(r"are counters; (.*) are histograms;", page)
    histograms = set(re.findall(r"`([a-z_]+)`", listed))
    found: dict[str, set[str]] = {}
    for name, text in re.findall(r"^\| `([a-z_]+)` \|([^|]*)\|", page, re.MULTILINE):
        labels = {one.strip() for one in text.split(",")} - {""}
        if name in histograms:
            found[f"{name}_bucket"] = labels | {"le"}
            found[f"{name}_sum"] = found[f"{name}_count"] = labels
        else:
            found[name] = labels
    return found


@pytest.fixture(scope="session")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """``admin(path)`` asks a real server that has had traffic on all workers."""
    folder = tmp_path_factory.mktemp("deploy")
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_") and k != "PORT"}
    options = ("--port", "0", "--admin-port", "0", "--state-dir", "state", "--run-dir", "run")
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock.server.cli.main", "serve", REGISTRY, *options],
        stdout=subprocess.PIPE,
        text=True,
        env=environ,
        cwd=folder,
    )
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line.startswith("  workers "):
            break
    docs, metrics = (re.search(rf"{name} +(\S+)/{name}", text) for name in ("docs", "metrics"))
    assert docs is not None, text
    assert metrics is not None, text

    def ask(url: str, path: str, body: str | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        connection.request("GET" if body is None else "POST", path, body)
        response = connection.getresponse()
        answer = response.status, response.read().decode()
        connection.close()
        return answer

    until = time.monotonic() + 60
    while ask(docs[1], "/v2/health/ready")[0] != 200:
        assert time.monotonic() < until
    for _ in range(20):
        assert ask(docs[1], "/v2/models/breast-cancer/infer", BODY)[0] == 200
    ask(docs[1], "/v2/models/breast-cancer/infer", "{}")
    yield lambda path: ask(metrics[1], path)[1]
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    process.stdout.close()
