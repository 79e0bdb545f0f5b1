"""Labels through real processes: late, repeated, early, unknown; figures as pandas has them."""

from __future__ import annotations

import csv
import http.client
import json
import os
import signal
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.slow

URL = "/v2/models/breast-cancer/infer"


def post(server, path, body, request_id=None):
    """Status and decoded answer."""
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    headers = {"content-type": "application/json"}
    if request_id:
        headers["x-request-id"] = request_id
    try:
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def predict(server, request_id, rows):
    tensor = {"name": "features", "datatype": "FP32", "shape": [len(rows), 30], "data": rows}
    status, answer = post(server, URL, {"inputs": [tensor]}, request_id)
    assert status == 200
    return answer["outputs"][0]["data"]


def performance(command, server, tmp_path):
    options = ("--json", "--admin-url", server.admin_url, "--state-dir", tmp_path / "state")
    process = command("performance", "breast-cancer", *options)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return json.loads(output)


def asked_of_admin(server):
    """The same without a process for the command."""
    path = "/admin/models/breast-cancer/performance"
    return json.loads(server.once(server.admin_url, path)[1])


def of_status(server):
    """The version that answers, as the status has it."""
    (versions,) = [
        one["versions"] for one in server.status()["models"] if one["name"] == "breast-cancer"
    ]
    return next(one for one in versions if one["default"])


def test_figures_are_those_of_pandas_and_survive_the_monitor(serve, command, tmp_path):
    rng = np.random.default_rng(1)
    server = serve()
    predicted = []
    for number in range(60):
        rows = (rng.normal(size=(2, 30)) * 400).tolist()
        for index, label in enumerate(predict(server, f"r{number}", rows)):
            predicted.append((f"r{number}", index, label))
    predictions = pd.DataFrame(predicted, columns=["request_id", "index", "predicted"])
    file = tmp_path / "labels.csv"
    chosen = rng.integers(0, 70, 300)
    labels = pd.DataFrame(
        {
            "request_id": [f"r{one}" for one in chosen],
            "index": rng.integers(0, 2, 300),
            "label": rng.integers(0, 2, 300),
        }
    )
    labels.to_csv(file, index=False)
    for _ in range(2):  # the second time changes nothing
        process = command("feedback", file, "--url", server.url)
        output, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        assert "300 accepted" in output
    pairs = labels.drop_duplicates(["request_id", "index"], keep="last")
    joined = pairs.merge(predictions, on=["request_id", "index"])

    def found():
        versions = asked_of_admin(server)["versions"]
        counts = [(one["predictions"], one["labels"]) for one in versions]
        return counts == [(len(predictions), len(joined))]

    server.until(found)
    compared = (joined["label"] == joined["predicted"]).mean()
    server.until(lambda: of_status(server)["labels"]["labels"] == len(joined))
    before = of_status(server)["labels"]
    assert before["estimate"]["value"] == pytest.approx(compared)
    server.kill("monitor")
    server.until(lambda: of_status(server)["labels"]["state"] != "unknown")
    assert of_status(server)["labels"]["estimate"] == before["estimate"]
    assert post(server, "/v1/feedback", [])[0] in {200, 503}
    server.until(lambda: post(server, "/v1/feedback", {"request_id": "late", "label": 1})[0] == 200)
    assert found()
    (version,) = performance(command, server, tmp_path)["versions"]
    figures = {name: one["value"] for name, one in version["figures"].items()}
    assert version["version"] == "2"
    assert version["predictions"] == len(predictions)
    assert version["coverage"] == pytest.approx(len(joined) / len(predictions))
    assert figures["accuracy"] == pytest.approx(compared)
    assert version["figures"]["accuracy"] == before["estimate"]
    predict(server, "late", [[0.5] * 30])  # the label came first
    server.until(lambda: asked_of_admin(server)["versions"][0]["labels"] == len(joined) + 1)
    series = 'penstock_labels_total{arm="",model="breast-cancer",version="2"}'
    server.until(lambda: server.metrics().get(series, 0) > 0)
    metrics = server.metrics()
    assert metrics['penstock_feedback_total{outcome="new"}'] == len(pairs) + 1


def test_a_label_is_either_on_the_disk_or_refused(serve):
    server = serve()
    predict(server, "a", [[0.5] * 30])
    server.until(lambda: post(server, "/v1/feedback", [])[0] == 200)
    monitor = server.children()["monitor"]
    os.kill(monitor, signal.SIGSTOP)
    try:
        statuses = [predict(server, f"b{n}", [[0.5] * 30]) for n in range(20)]
        assert len(statuses) == 20  # predictions go on
        status, answer = post(server, "/v1/feedback", {"request_id": "a", "label": 1})
        assert (status, "send the labels again" in answer["error"]) == (503, True)
    finally:
        os.kill(monitor, signal.SIGCONT)
    server.until(lambda: post(server, "/v1/feedback", {"request_id": "a", "label": 1})[0] == 200)
    status, answer = post(server, "/v1/feedback", [{"request_id": "a", "label": 1}, {"label": 2}])
    assert status == 400
    assert answer["error"].startswith("labels[1]: ")


def test_export_has_inputs_and_labels_side_by_side(serve, command, tmp_path):
    server = serve()
    predict(server, "a", [[0.25] * 30, [0.75] * 30])
    labels = [{"request_id": "a", "index": 1, "label": 1, "source": "lab"}]
    server.until(lambda: post(server, "/v1/feedback", labels)[0] == 200)
    output = tmp_path / "train.parquet"

    def export():
        process = command(
            "export", "breast-cancer", "--labelled", "-o", output, "--state-dir", tmp_path / "state"
        )
        return process.communicate(timeout=60), process.returncode == 0

    def joined():
        versions = asked_of_admin(server)["versions"]
        return versions and versions[0]["labels"] == 1

    server.until(joined)  # an export costs a process
    server.until(lambda: export()[1] and pd_rows(output, "features_0"))
    row = pd_rows(output, "*")[0]
    assert (row["request_id"], row["row"], row["label"], row["source"]) == ("a", 1, 1, "lab")
    assert (row["version"], row["fraction"], row["features_7"]) == (2, 1.0, 0.75)
    table = tmp_path / "train.csv"
    process = command(
        "export", "breast-cancer", "--labelled", "-o", table, "--state-dir", tmp_path / "state"
    )
    process.communicate(timeout=60)
    with table.open() as lines:
        (told,) = csv.DictReader(lines)
    assert (told["label"], told["features_7"]) == ("1", "0.75")


def pd_rows(path, columns):
    """Rows of a Parquet file; empty while a column is not there yet."""
    import duckdb

    with duckdb.connect() as database:
        try:
            found = database.execute(f"SELECT {columns} FROM read_parquet('{path}')")
        except duckdb.Error:
            return []
        names = [one[0] for one in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def labels_of(server, count=20):
    """Predictions of one row each, and what the model said of them."""
    rng = np.random.default_rng(8)
    return [
        (f"s{number}", predict(server, f"s{number}", (rng.normal(size=(1, 30)) * 400).tolist())[0])
        for number in range(count)
    ]


def test_a_file_is_accepted_row_by_row_whatever_is_in_it(serve, command, tmp_path):
    server = serve()
    pairs = labels_of(server)
    rows = [f'{name},{spell(label, place)},"a\nnote"' for place, (name, label) in enumerate(pairs)]
    odd = ["blank,,x", "later,cat,x", "no id here,1,x", "s2,1,x,one more", "s3,\0,x", "s4,\udcff,x"]
    text = "\r\n".join(["", " ", "Request_ID,Label,Note", *rows, *odd, ",,"]) + "\r\n"
    file = tmp_path / "labels.csv"
    file.write_text(text, encoding="utf-8-sig", errors="surrogateescape", newline="")
    process = command("feedback", file, "--url", server.url)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 3, error
    assert "21 accepted, 21 new" in output
    assert "2 rows have no label yet" in error
    assert "ignored, as they say nothing of a label: note" in error
    first = 2 * len(rows) + 4  # a row has two lines, and two blank ones come first
    told = [f"line {first + place}: " for place in (2, 3, 4, 5)]
    assert all(one in error for one in told), error
    assert "request_id is 'no id here'" in error
    assert "4 cells, the heading has 3" in error
    server.until(lambda: accuracy(server) == 1.0)


def spell(label, place):
    return (str(label), f"{label}.0", f" {label}", str(bool(label)))[place % 4]


def accuracy(server):
    versions = asked_of_admin(server)["versions"]
    figure = versions[0]["figures"].get("accuracy") if versions else None
    return None if figure is None or versions[0]["labels"] != 20 else figure["value"]


def test_a_body_is_accepted_in_part_if_it_asks_for_that(serve):
    server = serve()
    ((name, label),) = labels_of(server, 1)
    body = [{"request_id": name, "label": str(label)}, {"request_id": name}, 7]
    server.until(lambda: post(server, "/v1/feedback", [])[0] == 200)
    status, found = post(server, "/v1/feedback", body)
    assert status == 400
    assert "labels[1]: label is missing" in json.dumps(found)
    status, found = post(server, "/v1/feedback?partial=true", body)
    assert (status, found["accepted"], found["refused"]) == (200, 1, 2)
    assert [one["item"] for one in found["problems"]] == [1, 2]


def test_the_accuracy_of_push_is_what_labels_are_compared_with(serve, command, tmp_path):
    registry = tmp_path / "registry"
    examples = Path(__file__).parents[3] / "examples" / "registry"
    source = examples / "breast-cancer" / "1" / "model.onnx"
    process = command("push", registry, "breast-cancer", source, "--metric", "accuracy=0.75")
    assert process.wait(60) == 0, process.communicate()
    server = serve(registry=registry)
    pairs = labels_of(server)
    told = [{"request_id": name, "label": label} for name, label in pairs]
    server.until(lambda: post(server, "/v1/feedback", told)[0] == 200)

    def change():
        versions = asked_of_admin(server)["versions"]
        return versions[0]["change"] if versions and versions[0]["labels"] == 20 else {}

    # The monitor may have read the manifest after the labels.
    server.until(lambda: change().get("reference_rate") is not None)
    found = change()
    assert found["reference_rate"] == pytest.approx(0.25, abs=1e-5)
    assert found["state"] != "learning"


def test_rows_of_a_model_that_couples_them_are_logged_and_labelled_one_by_one(
    serve, command, tmp_path, onnx_file
):
    nodes = [
        ("Softmax", ["features"], ["weights"], {"axis": 0}),
        ("ArgMax", ["weights"], ["label"], {"axis": 1, "keepdims": 0}),
    ]
    onnx_file(
        tmp_path / "registry" / "breast-cancer" / "1" / "model.onnx",
        nodes,
        [("features", "FLOAT", ["n", 30])],
        [("label", "INT64", [1])],
    )
    server = serve(registry=tmp_path / "registry")
    ((model,), rows) = server.status()["models"], np.random.default_rng(4).normal(size=(3, 30))
    (version,) = model["versions"]
    assert version["batching"]["rows_axis"]
    assert not version["batching"]["on"]
    assert "rows influence each other" in version["batching"]["reason"]
    predicted = predict(server, "a", rows.tolist())
    assert len(predicted) == 3
    told = [
        {"request_id": "a", "index": index, "label": label} for index, label in enumerate(predicted)
    ]
    server.until(lambda: post(server, "/v1/feedback", told)[0] == 200)

    def figures():
        versions = asked_of_admin(server)["versions"]
        found = [(one["predictions"], one["labels"]) for one in versions]
        return found == [(3, 3)] and versions[0]["figures"]["accuracy"]["value"] == 1.0

    server.until(figures)
    output = tmp_path / "train.parquet"
    process = command(
        "export", "breast-cancer", "--labelled", "-o", output, "--state-dir", tmp_path / "state"
    )
    assert process.wait(60) == 0, process.communicate()
    logged = sorted(pd_rows(output, "row, label, features_0"), key=lambda one: one["row"])
    assert [one["row"] for one in logged] == [0, 1, 2]
    assert [int(one["label"]) for one in logged] == predicted
    assert [one["features_0"] for one in logged] == pytest.approx(rows[:, 0].tolist(), rel=1e-6)
