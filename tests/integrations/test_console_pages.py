"""The console in a real browser: each page without a complaint, and what can be done on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe

from penstock.monitoring.alerts.alert import Alert
from penstock.monitoring.alerts.alert_store import AlertStore

TIMEOUT_MILLISECONDS = 20_000
#: A text that runs where it is taken for markup.
BAD = "<img src=x onerror=alert(1)></textarea><script>alert(1)</script>"
#: https://www.w3.org/TR/WCAG22/, levels A and AA.
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


def link(server):
    """A link that logs in."""
    program = [sys.executable, "-m", "penstock.server.cli.main", "ui", "--no-open"]
    options = ["--admin-url", server.admin_url, "--state-dir", server.state]
    made = subprocess.run([*program, *options], capture_output=True, text=True, check=True)
    return made.stdout.strip()


def status(server):
    with urllib.request.urlopen(f"{server.admin_url}/admin/status") as answer:
        return json.load(answer)


def command(server, method, path, **body):
    """Send a command to the admin port."""
    token = (server.state / "admin-token").read_text().strip()
    request = urllib.request.Request(
        f"{server.admin_url}/admin/{path}",
        json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": f"Bearer {token}"},
        method=method,
    )
    urllib.request.urlopen(request).close()


@pytest.fixture
def inside(server, page):
    """A page whose visitor has logged in."""
    page.goto(link(server))
    yield page
    # Leaving a page ends its stream of events, which the browser tells as a failed request.
    page.complaints[:] = [one for one in page.complaints if not one.endswith("/console/live")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_each_page_is_shown_in_any_width_and_light(server, inside, scheme, width):
    inside.emulate_media(color_scheme=scheme)
    inside.set_viewport_size({"width": width, "height": 800})
    paths = ["", "alerts", "audit?verify=true", "predictions", "query", "labels"]
    paths += ["predictions?model=odd.names_of-tensors", "predictions?model=breast-cancer"]
    for model in ("breast-cancer", "0", "constructor"):
        paths += [f"models/{model}", f"models/{model}/drift", f"models/{model}/performance"]
        paths += [f"models/{model}/try", f"models/{model}/rollout"]
    for path in paths:
        answer = inside.goto(f"{server.admin_url}/console/{path}")
        assert answer.status == 200, path
        # Nothing sticks out to the side.
        assert inside.evaluate("document.documentElement.scrollWidth") <= width, path
        found = Axe().run(inside, options=WCAG).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found] == [], path


def test_a_version_is_promoted_and_rolled_back_by_hand(server, inside):
    inside.get_by_role("link", name="breast-cancer").click()
    for button, version, words in (("Promote", "1", "promote"), ("Promote", "2", "promote")):
        form = inside.locator("form[action$=promote]")
        inside.locator("summary", has_text=button).click()
        form.locator("select").select_option(version)
        form.locator("input[name=reason]").fill("by hand")
        form.locator("button").click()
        told = inside.get_by_role("status")
        told.wait_for(timeout=TIMEOUT_MILLISECONDS)
        assert words in told.inner_text()
    inside.locator("summary", has_text="Roll back").click()
    inside.locator("form[action$=rollback] button").click()
    inside.get_by_text("rollback stable → 1").wait_for(timeout=TIMEOUT_MILLISECONDS)
    [model] = [one for one in status(server)["models"] if one["name"] == "breast-cancer"]
    assert model["default"] == 1


def test_an_open_page_shows_what_changes_without_being_loaded_again(server, inside):
    inside.get_by_role("link", name="digits").click()
    inside.evaluate("window.here = true")
    command(server, "PUT", "models/digits/aliases/seen-live", version=1)
    inside.locator("main").get_by_text("seen-live").first.wait_for(timeout=TIMEOUT_MILLISECONDS)
    assert inside.evaluate("window.here")


def monitor_of(server):
    """Id of the monitor process."""
    pid = server.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    named = {Path(f"/proc/{one}/cmdline").read_bytes(): int(one) for one in children}
    return next(one for line, one in named.items() if b"penstock.server.monitor" in line)


def predict(server, model, rows):
    """Request ids of one request for each row."""
    found = []
    for row in rows:
        tensor = {"name": "features", "datatype": "FP32", "shape": [1, len(row)], "data": row}
        request = urllib.request.Request(
            f"{server.url}/v2/models/{model}/infer",
            json.dumps({"inputs": [tensor]}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            found.append(answer.headers["x-request-id"])
    return found


def label(server, ids, value):
    """Hand labels over."""
    labels = [{"request_id": one, "label": value} for one in ids]
    request = urllib.request.Request(
        f"{server.url}/v1/feedback",
        json.dumps(labels).encode(),
        {"content-type": "application/json"},
    )
    urllib.request.urlopen(request).close()


def cell(page, model, column):
    """A cell of the overview."""
    row = page.locator("table.wide tbody tr", has=page.get_by_role("link", name=model, exact=True))
    return row.locator(f"td[data-label='{column}']")


def test_the_overview_shows_drift_and_labels_of_each_model_live(server, inside):
    asked = []
    inside.on("request", lambda one: asked.append(urlsplit(one.url).path))
    inside.goto(f"{server.admin_url}/console/")
    rows = inside.locator("table.wide tbody tr").count()
    assert rows > 10
    assert cell(inside, "digits", "drift").inner_text()
    asked.clear()
    label(server, predict(server, "digits", [[0.0] * 64] * 25), 3)
    shown = cell(inside, "digits", "labels").get_by_text("25 labels")
    shown.wait_for(timeout=TIMEOUT_MILLISECONDS)
    assert "accuracy" in shown.inner_text()
    cell(inside, "digits", "drift").get_by_text("no baseline").wait_for()
    # Whatever the number of models: a stream, and the page itself with each of its events.
    assert set(asked) <= {"/console/", "/console", "/console/live"}
    shown.click()
    inside.get_by_role("heading", name="digits: performance").wait_for()


@pytest.mark.parametrize("width", [360, 1280])
def test_the_overview_works_while_the_monitor_is_away_and_says_so(server, inside, width):
    inside.set_viewport_size({"width": width, "height": 800})
    inside.goto(f"{server.admin_url}/console/")
    away = inside.get_by_text("Drift and labels are not known now: the monitor does not answer")
    assert away.count() == 0
    monitor = monitor_of(server)
    os.kill(monitor, signal.SIGSTOP)
    try:
        away.wait_for(timeout=TIMEOUT_MILLISECONDS)
        assert "unknown" in cell(inside, "digits", "drift").inner_text()
        assert "ready" in cell(inside, "digits", "answers").inner_text()
        assert Axe().run(inside, options=WCAG).response["violations"] == []
    finally:
        os.kill(monitor, signal.SIGCONT)
    away.wait_for(state="detached", timeout=TIMEOUT_MILLISECONDS)
    # Nothing must be looked for to the side.
    box = cell(inside, "digits", "labels").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


def test_a_model_is_tried_by_way_of_the_prediction_port(server, inside):
    for model, names in (("wine", 13), ("odd.names_of-tensors", 7)):
        inside.goto(f"{server.admin_url}/console/models/{model}/try")
        box = inside.locator("details.operation").first
        box.get_by_role("button", name="Send").click()
        box.locator(".state", has_text="200 in").wait_for(timeout=TIMEOUT_MILLISECONDS)
        assert box.locator(".fields > label:has(> .dim)").count() == names
        assert "computing" in box.locator(".answer").inner_text()
        box.get_by_text("As curl and Python").click()
        assert f"{server.url}/v" in box.locator("pre.code").first.text_content()


def test_the_console_works_with_the_keyboard_alone(server, inside):
    inside.goto(f"{server.admin_url}/console/models/digits")
    inside.locator("summary", has_text="Load").first.focus()
    inside.keyboard.press("Enter")
    form = inside.locator("details[open] form")
    form.wait_for(timeout=TIMEOUT_MILLISECONDS)
    inside.keyboard.press("Tab")
    assert inside.evaluate("document.activeElement.name") == "version"


def test_what_people_have_sent_is_shown_as_text(server, inside):
    """The names of inputs and outputs, of models, and of what is saved, run nowhere."""
    bad = BAD
    tensor = {"datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    model = f"{server.url}/v2/models/odd.names_of-tensors"
    with urllib.request.urlopen(model) as answer:
        names = [one["name"] for one in json.load(answer)["inputs"]]
    body = json.dumps({"inputs": [{"name": name, **tensor} for name in names]}).encode()
    request = urllib.request.Request(
        f"{model}/infer", body,
        {"content-type": "application/json", "x-request-id": "odd-one"},
    )  # fmt: skip
    with urllib.request.urlopen(request) as answer:
        identity = answer.headers["x-request-id"]
    found = f"{server.admin_url}/console/predictions?model=odd.names_of-tensors"
    for _ in range(60):
        inside.goto(found)
        if inside.get_by_role("link", name=identity).count():
            break
        inside.wait_for_timeout(500)
    inside.get_by_role("link", name=identity).first.click()
    assert inside.get_by_text(names[1] + "_0", exact=True).count() >= 1
    assert Axe().run(inside, options=WCAG).response["violations"] == []
    inside.goto(f"{server.admin_url}/console/query")
    inside.locator("textarea").fill(f"select 1 as a, '{bad}' as b")
    inside.get_by_role("button", name="Run").click()
    inside.locator("td", has_text=bad).wait_for(timeout=TIMEOUT_MILLISECONDS)
    inside.locator("summary", has_text="Save").click()
    form = inside.locator("form[action$=save]")
    form.locator("input[name=name]").fill(bad)
    form.locator("button").click()
    inside.get_by_role("link", name=bad).click()
    assert inside.locator("textarea").input_value() == f"select 1 as a, '{bad}' as b"
    assert Axe().run(inside, options=WCAG).response["violations"] == []


def test_what_alerts_and_reasons_say_is_shown_as_text(server, inside):
    """Names of features come from models, reasons from everybody with a token."""
    store = AlertStore(server.state / "monitor" / "alerts.db")
    for number, model in enumerate(("digits", BAD)):
        store.put(
            Alert(
                kind="slo.burn",
                model=model,
                version=BAD,
                subject=BAD,
                severity="critical",
                opened=True,
                episode=f"{BAD}/{number}",
                time=time.time(),
                summary=f"{BAD} {number}",
            )
        )
    command(server, "PUT", "models/digits/aliases/odd", version=1, reason=BAD)
    command(server, "POST", "mutes", model="digits", kind="slo.burn", reason=BAD, **{"for": "1h"})
    shown = {"": 0, "alerts": 3, "models/digits": 1, "audit": 2}
    for path, texts in shown.items():
        inside.goto(f"{server.admin_url}/console/{path}")
        assert inside.get_by_text(BAD).count() >= texts, path
        assert Axe().run(inside, options=WCAG).response["violations"] == [], path


def test_a_file_of_labels_is_uploaded_with_a_report_by_line(server, inside):
    inside.goto(f"{server.admin_url}/console/labels")
    content = b"request_id,label,index\n0123456789abcdef,1,0\n0123456789abcdef,1,<b>x</b>\n"
    file = {"name": "labels.csv", "mimeType": "text/csv", "buffer": content}
    inside.locator("input[type=file]").set_input_files(file)
    inside.get_by_role("button", name="Upload").click()
    inside.get_by_text("1 accepted, 1 refused").wait_for(timeout=TIMEOUT_MILLISECONDS)
    assert inside.locator("td", has_text="<b>x</b>").count() == 1
    assert Axe().run(inside, options=WCAG).response["violations"] == []
