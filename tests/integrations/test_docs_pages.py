"""The pages at ``/docs`` in a real browser: shown without a complaint, filled, sent, answered."""

from __future__ import annotations

import ast
import json
import re
import struct
import subprocess
import sys
import urllib.request
import zlib

import pytest
from axe_playwright_python.sync_playwright import Axe

TIMEOUT_MILLISECONDS = 20_000
#: https://www.w3.org/TR/WCAG22/, levels A and AA.
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
#: Is of the request, not of the model.
IGNORED = {"id": None}


def png(width, height, colour):
    """A picture of one colour; https://www.w3.org/TR/png/."""

    def chunk(kind, content):
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    rows = (b"\0" + bytes(colour) * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*one) for one in ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


def described(url):
    with urllib.request.urlopen(f"{url}/openapi.json") as answer:
        return json.load(answer)


def answered(url, path, body):
    """What the server says without a browser."""
    request = urllib.request.Request(
        url + path, body.encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def sent(box):
    """Send a form and give the line of its state and the text of the answer."""
    box.get_by_role("button", name="Send").click()
    state = box.locator(".state")
    state.filter(has_text=re.compile(r"\d+ in ")).wait_for(timeout=TIMEOUT_MILLISECONDS)
    return state.inner_text(), box.locator("pre").first.text_content()


def opened(page, path):
    """The box of an operation, unfolded."""
    box = page.locator("details.operation").filter(
        has=page.locator(f'summary code:text-is("{path}")')
    )
    if not box.evaluate("one => one.open"):
        box.locator("summary").first.click()
    box.get_by_role("button", name="Send").wait_for(timeout=TIMEOUT_MILLISECONDS)
    return box


def body_of(box):
    return box.get_by_label("request body")


def predictions(url):
    """Path of every version and every model -> its description."""
    paths = described(url)["paths"]
    ends = "/infer", ":predict"
    return {path: one["post"] for path, one in paths.items() if path.endswith(ends)}


def ready(page, url):
    page.goto(f"{url}/docs")
    page.get_by_role("heading", name="Server").wait_for(timeout=TIMEOUT_MILLISECONDS)


def test_every_model_and_version_is_filled_sent_and_answered(page, server):
    ready(page, server.url)
    found = predictions(server.url)
    assert len(found) >= 30
    for path, post in found.items():
        box = opened(page, path)
        body = post["requestBody"]["content"]["application/json"]
        if "example" not in body:
            row = {"name": "x", "datatype": "FP32", "shape": [1, 5000], "data": [0.5] * 5000}
            wide = {"inputs": [row]} if path.endswith("/infer") else None
            if wide is None:  # rows without names are typed
                assert body_of(box).input_value() == ""
                continue
            assert "too large" in box.locator("textarea").first.get_attribute("placeholder")
            box.get_by_text("Request body", exact=True).click()
            body_of(box).fill(json.dumps(wide))
        asked = body_of(box).input_value()
        state, text = sent(box)
        assert state.startswith("200 in "), (path, state, text)
        assert json.loads(text) | IGNORED == answered(server.url, path, asked) | IGNORED


def test_a_row_with_columns_is_a_form_and_its_classes_are_bars(page, server):
    ready(page, server.url)
    box = opened(page, "/v1/models/iris:predict")
    field = box.get_by_label("petal width (cm)")
    field.fill("")  # is missing
    assert '"petal width (cm)": null' in body_of(box).input_value()
    field.fill("0.20000000000000000001")  # all digits are sent
    assert '"petal width (cm)": 0.20000000000000000001' in body_of(box).input_value()
    sent(box)
    names = box.locator(".answer .bar-row .name").all_inner_texts()
    assert names[:3] == ["setosa", "versicolor", "virginica"]
    assert names[3:5] == ["waiting in the queue", "computing"]
    field.fill("much")
    state, text = sent(box)
    assert state.startswith("400 in ")
    assert "petal width (cm)" in text
    forget_refusals(page)


def test_a_picture_is_fitted_and_sent_as_the_model_wants_it(page, server, tmp_path):
    picture = tmp_path / "picture.png"
    picture.write_bytes(png(48, 32, (255, 0, 0)))
    ready(page, server.url)
    for path, sizes, first in (
        ("/v2/models/picture/infer", [1, 3, 16, 24], 255),
        ("/v2/models/grey/infer", [1, 16, 16, 1], pytest.approx(76 / 255, abs=1e-4)),
    ):
        box = opened(page, path)
        box.get_by_label("picture for image").set_input_files(picture)
        page.wait_for_function(
            "one => one.value.includes('shape')", arg=body_of(box).element_handle()
        )
        box.locator("textarea[placeholder*='picture.png']").wait_for(timeout=TIMEOUT_MILLISECONDS)
        [given] = json.loads(body_of(box).input_value())["inputs"]
        assert given["shape"] == sizes
        state, text = sent(box)
        assert state.startswith("200 in "), text
        [output] = json.loads(text)["outputs"]
        assert output["shape"] == sizes
        assert output["data"][0] == first
        if len(set(sizes)) == 4:  # red fills the first plane, and no other
            assert set(output["data"][:384]) == {255}
            assert set(output["data"][384:]) == {0}


def test_the_code_for_a_terminal_and_for_a_program_asks_the_same(page, server):
    ready(page, server.url)
    for path in ("/v1/models/wine:predict", "/v2/models/odd.names_of-tensors/infer"):
        box = opened(page, path)
        _, text = sent(box)
        box.get_by_text("As curl and Python").click()
        box.locator("pre.code").nth(1).wait_for(timeout=TIMEOUT_MILLISECONDS)
        curl, python = box.locator("pre.code").all_text_contents()
        # A shell reads the quotes of the one, Python those of the other.
        for command in (["sh", "-c", curl], [sys.executable, "-c", python]):
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            shown = json.loads(done.stdout) if command[0] == "sh" else ast.literal_eval(done.stdout)
            assert shown | IGNORED == json.loads(text) | IGNORED


def test_every_name_is_shown_as_text(page, server):
    ready(page, server.url)
    box = opened(page, "/v2/models/odd.names_of-tensors/infer")
    shown = box.locator("label:has(textarea) .name").all_text_contents()
    schema = predictions(server.url)["/v2/models/odd.names_of-tensors/infer"]["requestBody"]
    inputs = schema["content"]["application/json"]["schema"]["properties"]["inputs"]
    assert shown == [one["properties"]["name"]["const"] for one in inputs["items"]["oneOf"]]
    sent(box)
    headings = box.locator(".answer h4").all_text_contents()
    assert headings[: len(shown)] == [f"out {name}" for name in shown]
    assert page.locator("img").count() == 0


def test_a_request_that_is_refused_is_shown_with_its_reason(page, server):
    ready(page, server.url)
    box = page.locator("details.operation").first
    box.get_by_text("Request body", exact=True).click()
    body_of(box).fill('{"inputs": []}')
    state, text = sent(box)
    assert state.startswith("400 in ")
    assert "error" in json.loads(text)
    forget_refusals(page)


def forget_refusals(page):
    """The browser notes each answer that is not 2xx; these are meant."""
    assert [one for one in page.complaints if "400 (Bad Request)" not in one] == []
    page.complaints.clear()


def test_labels_can_be_sent_too(page, server):
    ready(page, server.url)
    state, _ = sent(page.locator("details.operation").first)
    request_id = state.rpartition(" ")[2]
    box = opened(page, "/v1/feedback")
    assert "label_time" in box.locator("li code").all_inner_texts()
    body_of(box).fill(json.dumps({"request_id": request_id, "label": 1}))
    state, _ = sent(box)
    assert state.startswith("200 in ")


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_for_everybody(page, server, scheme, width):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    ready(page, server.url)
    for path in ("/v1/models/iris:predict", "/v2/models/picture/infer"):
        box = opened(page, path)
        if path.endswith(":predict"):
            sent(box)
        box.get_by_text("As curl and Python").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page, options=WCAG).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


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
