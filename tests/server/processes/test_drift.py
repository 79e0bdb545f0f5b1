"""Drift end to end: real processes, real requests, the real command line."""

from __future__ import annotations

import csv
import http.client
import json
import random
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from penstock.monitoring.drift.reading import windows_of
from penstock.server.drift.versions import WINDOWS

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[3] / "examples"
TRAIN = EXAMPLES / "data" / "breast-cancer.csv"
SHIFTED = "mean_smoothness"
MODEL_TOML = """
[monitoring]
window = "1s"
window_rows = 300
calibration_windows = 0
client = "header:x-client"
"""
MODEL = "breast-cancer"
JSON = {"content-type": "application/json"}
CALM, MOVED = (False, None, JSON), (True, None, JSON)
FROM_BATCH = {**JSON, "x-client": "batch"}


@pytest.fixture
def registry(tmp_path):
    path = tmp_path / "models"
    ignore = shutil.ignore_patterns(".*")
    shutil.copytree(EXAMPLES / "registry" / "breast-cancer", path / "breast-cancer", ignore=ignore)
    (path / "breast-cancer" / "model.toml").write_text(MODEL_TOML)
    return path


def body(rows):
    tensor = {"name": "features", "datatype": "FP32", "shape": [len(rows), 30], "data": rows}
    return json.dumps({"inputs": [tensor]}).encode()


class Sender:
    """Sends rows like those of the training, some of them moved, and counts them."""

    def __init__(self, server):
        with TRAIN.open() as file:
            self.names, *table = csv.reader(file)
        self.rows = [[float(value) for value in row[:-1]] for row in table]
        self.place = self.names.index(SHIFTED)
        values = [row[self.place] for row in self.rows]
        self.spread = max(values) - min(values)
        self.chance = random.Random(3)
        parts = urlsplit(server.url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        self.sent = 0

    def __call__(self, *kinds):
        for _, where, _ in kinds:
            (where or self.connection).close()  # the server may have ended it by now
        for kind, where, headers in [*kinds] * (20 // len(kinds)):
            picked = [list(self.chance.choice(self.rows)) for _ in range(20)]
            for row in picked:
                row[self.place] += self.spread * kind
            asked = where or self.connection
            asked.request("POST", f"/v2/models/{MODEL}/infer", body(picked), headers)
            response = asked.getresponse()
            assert response.read()
            assert response.status == 200
            self.sent += len(picked)


def check_metrics(metrics):
    labels = 'arm="",model="breast-cancer",state="drift",version="2"'
    assert metrics[f"penstock_drift_state{{{labels}}}"] == 1
    labels = f'arm="",feature="{SHIFTED}",model="breast-cancer",version="2"'
    assert metrics[f"penstock_drift_psi{{{labels}}}"] > 1
    labels = f'field="{SHIFTED}",kind="range",model="breast-cancer",version="2"'
    assert metrics[f"penstock_quality_learnt_total{{{labels}}}"] > 0


def check_status(server):
    """The status and the overview have it, too, with the next look."""

    def told():
        (model,) = server.status()["models"]
        return next(one["drift"] for one in model["versions"] if one["default"])

    server.until(lambda: told()["words"] == f"changed: {SHIFTED}")
    assert told()["since"] > 0
    assert f">changed: {SHIFTED}</a>" in server.browser().ask("GET", "/console/")[2]


def check_text(server, text):
    check_status(server)
    lines = text.splitlines()
    heading = next(place for place, line in enumerate(lines) if line.startswith("feature"))
    assert lines[heading + 1].split()[:3] == [SHIFTED, "input", "drift"]
    assert "out of range" in lines[heading + 1]


def those_that_loaded(package, server):
    maps = {name: Path(f"/proc/{pid}/maps") for name, pid in server.children().items()}
    return [name for name, one in maps.items() if f"/{package}/" in one.read_text()]


def accept(server, told):
    """Accept the windows of the drift on the console, as somebody would who was told of them."""
    assert f"learnt anew: {SHIFTED}\n" in told
    page = "/console/models/breast-cancer/drift"
    visitor = server.browser()
    assert "Accept" not in visitor.ask("GET", page)[2]
    visitor.log_in(server.token)
    shown = visitor.ask("GET", page)[2]
    assert shown.count("<svg") > 20
    assert 'href="/console/alerts"' in shown
    assert f"learnt anew from the next rows: {SHIFTED}." in shown
    form = dict(re.findall(r'name="(version|windows|baseline)" value="([^"]*)"', shown))
    secret = visitor.csrf(page)
    for wrong, why in (
        ({"reason": " "}, "reason is missing"),
        ({"baseline": "0123"}, f"the baseline is {form['baseline']} now"),
        ({"windows": "many"}, "expected a number from 1 to 1000"),
    ):
        fields = {"reason": "a new lamp", **form, **wrong}
        visitor.send(f"{page}/accept", csrf=secret, **fields)
        assert why in visitor.notice(page)
    visitor.send(f"{page}/accept", csrf=secret, reason="a new lamp", **form)
    assert "is compared with these windows from now on" in visitor.notice(page)


def accepted(server, send, version, inputs):
    """The shifted rows are compared with those that were accepted."""

    def judged():
        send()  # a window that is open when the baseline is replaced is not judged
        now = version()
        return now["source"] == "accepted" and now["features"]

    server.until(judged)
    found = version()["features"]
    assert "drift" not in {one["state"] for one in found}
    assert {one["name"] for one in found if not one["output"]} == {*inputs} - {SHIFTED}


def check_floods(server, send, version, penstock, all_are_in_windows):
    """A client that sends half of the rows, with a shifted feature, is named and is no drift."""

    def none_is_open():
        """With less than a quarter of the rows of an open window a flood would be a change."""
        send(CALM)
        with suppress(AssertionError):  # a window with too few rows stays open
            server.until(all_are_in_windows, 3.0)
        return all_are_in_windows()

    parts = urlsplit(server.url)
    flooder = ("127.0.0.9", 0)  # another address of this machine
    other = http.client.HTTPConnection(
        parts.hostname, parts.port, timeout=60, source_address=flooder
    )
    for name, where, headers in (("127.0.0.9", other, JSON), ("batch", None, FROM_BATCH)):

        def is_named(name=name, where=where, headers=headers):
            send(CALM, (True, where, headers))
            return version()["notes"].get("flood", {}).get("client") == name

        server.until(none_is_open)
        server.until(is_named)
        found = version()
        assert 0.25 <= found["notes"]["flood"]["share"] <= 0.6  # calm rows were in it already
        assert {one["state"] for one in found["features"]} <= {"ok", "changed, small"}
        assert f"come from one client, {name} (usual: up to 0 %)" in penstock("drift", MODEL)
        # The next flood begins in a window without rows of this one.
        server.until(lambda: send(CALM) or "flood" not in version()["notes"])
    other.close()


def check_records(records):
    actions = [one["action"] for one in records[:3]]
    assert actions == ["baseline.forget", "baseline.accept", "baseline"]
    assert (records[0]["reason"], records[1]["reason"]) == ("new camera", "a new lamp")
    assert records[1]["evidence"]["learnt_anew"] == [SHIFTED]
    assert records[1]["before"] == records[2]["after"]


def test_the_shifted_feature_and_only_that_one_drifts(serve, registry, tmp_path):
    server = serve("--sample-rate", "1", registry=registry)
    send = Sender(server)
    names = send.names

    def penstock(*arguments):
        command = [sys.executable, "-m", "penstock.server.cli.main", *arguments]
        command += ["--admin-url", server.admin_url, "--state-dir", str(tmp_path / "state")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def all_are_in_windows():
        closed = windows_of(tmp_path / "state" / "monitor" / WINDOWS, MODEL, None, 1000)
        return sum(one["rows"] + one["skipped"] for one in closed) == send.sent

    def version(told=None):  # the command costs a process, so most looks ask the admin port
        told = told or server.once(server.admin_url, "/admin/models/breast-cancer/drift")[1]
        return next(iter(json.loads(told)["versions"]), {"windows": 0, "features": []})

    penstock("baseline", "build", "breast-cancer", "2", str(TRAIN), "--target", "target")
    send(CALM)
    server.until(lambda: version()["windows"] >= 1)
    calm = version(penstock("drift", "breast-cancer", "--json"))
    assert (calm["state"], calm["source"]) == ("ok", "file")
    assert [one["name"] for one in calm["features"]] == names[:-1]

    check_floods(server, send, version, penstock, all_are_in_windows)

    def drifting():
        return [one["name"] for one in version()["features"] if one["state"] == "drift"]

    # A window that is open now has calm rows, too; the one after it has none.
    server.until(lambda: send(MOVED) or drifting())
    before = version()["windows"]
    server.until(lambda: send(MOVED) or version()["windows"] > before)
    assert drifting() == [SHIFTED]
    check_text(server, penstock("drift", "breast-cancer"))

    check_metrics(server.metrics())
    assert those_that_loaded("scipy", server) == ["monitor"]
    page = tmp_path / "report.html"
    penstock("monitor", "report", "breast-cancer", "-o", str(page))
    text = page.read_text()
    assert text.count("<svg") > 20
    assert (SHIFTED in text, "<script" in text) == (True, False)

    accept(server, penstock("baseline", "accept", "breast-cancer", "2", "--dry-run"))
    accepted(server, lambda: send(MOVED), version, names[:-1])
    penstock("baseline", "forget", "breast-cancer", "2", "--reason", "new camera")
    check_records(json.loads(penstock("history", "breast-cancer", "--json"))["records"])
    send.connection.close()


@pytest.fixture
def without_scipy(monkeypatch, tmp_path):
    """Processes started afterwards cannot import it."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import sys\nsys.modules['scipy'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))


def test_without_scipy_a_server_serves_and_says_what_drift_needs(without_scipy, serve):
    server = serve()
    assert server.ask("breast-cancer", body([[0.5] * 30])) == 200
    words = "drift is not watched: SciPy is not installed; run: pip install "
    _, answer = server.once(server.admin_url, "/admin/models/breast-cancer/drift")
    assert json.loads(answer)["problem"] == f"{words}'penstock-server[monitor]'"
    _, page = server.once(server.admin_url, "/admin/models/breast-cancer/drift/report")
    assert words in page.decode()
