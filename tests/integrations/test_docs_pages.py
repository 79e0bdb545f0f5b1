"""The pages at ``/docs`` in a real browser: shown without a complaint, filled, sent, answered."""

from __future__ import annotations

import json
import re
import urllib.request

import pytest

TIMEOUT_MILLISECONDS = 20_000


def described(url):
    with urllib.request.urlopen(f"{url}/openapi.json") as answer:
        return json.load(answer)


def answered(url, path, body):
    """What the server says without a browser; the model's outputs only."""
    request = urllib.request.Request(
        url + path, body.encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["outputs"]


def sent(box):
    """Send a form and give the line of its state and the text of the answer."""
    box.locator("button").click()
    state, answer = box.locator("p.dim"), box.locator("pre")
    state.filter(has_text=re.compile(r"\d+ in ")).wait_for(timeout=TIMEOUT_MILLISECONDS)
    return state.inner_text(), answer.inner_text()


def predictions(url):
    """Path of every version and every model -> its description."""
    paths = described(url)["paths"]
    return {path: one["post"] for path, one in paths.items() if path.endswith("/infer")}


def ready(page, url):
    page.goto(f"{url}/docs")
    page.get_by_role("heading", name="Server").wait_for(timeout=TIMEOUT_MILLISECONDS)


def test_every_model_and_version_is_filled_sent_and_answered(page, server):
    ready(page, server.url)
    found = predictions(server.url)
    assert len(found) >= 13
    for path, post in found.items():
        box = page.locator("details").filter(has=page.locator(f'summary code:text-is("{path}")'))
        if not box.evaluate("one => one.open"):
            box.locator("summary").click()
        body = post["requestBody"]["content"]["application/json"]
        area = box.locator("textarea")
        if "example" not in body:
            assert area.input_value() == ""
            assert "too large" in area.get_attribute("placeholder")
            row = {"name": "x", "datatype": "FP32", "shape": [1, 5000], "data": [0.5] * 5000}
            area.fill(json.dumps({"inputs": [row]}))
        asked = area.input_value()
        state, text = sent(box)
        assert state.startswith("200 in "), (path, state, text)
        assert json.loads(text)["outputs"] == answered(server.url, path, asked)


def test_every_name_is_shown_as_text(page, server):
    ready(page, server.url)
    path = "/v2/models/odd.names_of-tensors/infer"
    box = page.locator("details").filter(has=page.locator(f'summary code:text-is("{path}")'))
    box.locator("summary").click()
    shown = box.locator("td:first-child code").all_inner_texts()
    schema = predictions(server.url)[path]["requestBody"]["content"]["application/json"]["schema"]
    named = [
        one["properties"]["name"]["const"]
        for one in schema["properties"]["inputs"]["items"]["oneOf"]
    ]
    assert shown == [*named, *(f"out {name}" for name in named)]
    assert page.locator("img").count() == 0


def test_a_request_that_is_refused_is_shown_with_its_reason(page, server):
    ready(page, server.url)
    box = page.locator("details").first
    box.locator("textarea").fill('{"inputs": []}')
    state, text = sent(box)
    assert state.startswith("400 in ")
    assert "error" in json.loads(text)
    # The browser notes each answer that is not 2xx; that one is meant.
    assert [one for one in page.complaints if "400 (Bad Request)" not in one] == []
    page.complaints.clear()


def test_labels_can_be_sent_too(page, server):
    ready(page, server.url)
    predicted = page.locator("details").first
    state, _ = sent(predicted)
    request_id = state.rpartition(" ")[2]
    box = page.locator("details").filter(has_text="/v1/feedback")
    box.locator("summary").click()
    assert "label_time" in box.locator("li code").all_inner_texts()
    box.locator("textarea").fill(json.dumps({"request_id": request_id, "label": 1}))
    state, _ = sent(box)
    assert state.startswith("200 in ")


def test_a_registry_without_models_says_so(page, serve, tmp_path):
    (tmp_path / "models").mkdir()
    with serve(tmp_path / "models", tmp_path / "state") as empty:
        ready(page, empty.url)
        page.get_by_text("No model is served yet.").wait_for(timeout=TIMEOUT_MILLISECONDS)


def test_the_page_of_the_admin_port_lists_every_endpoint(page, server):
    page.goto(f"{server.admin_url}/docs")
    page.locator("section").first.wait_for(timeout=TIMEOUT_MILLISECONDS)
    paths = described(server.admin_url)["paths"]
    assert page.locator("section").count() == sum(map(len, paths.values()))
    assert page.locator("main li").count() > 0


@pytest.mark.parametrize("port", ["url", "admin_url"])
def test_no_other_script_can_run_on_a_page(page, server, port):
    page.goto(f"{getattr(server, port)}/docs")
    page.evaluate(
        "() => { const one = document.createElement('script');"
        " one.textContent = 'window.ran = true'; document.body.append(one); }"
    )
    assert page.evaluate("() => window.ran") is None
    assert all("Content Security Policy" in one for one in page.complaints)
    assert page.complaints
    page.complaints.clear()
