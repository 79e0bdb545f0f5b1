"""Sends the held-out rows of the breast-cancer model to a server, if it serves that model.

``python tests/docs/traffic.py PORT`` sends the rows one by one with the request ids ``order-1``,
``order-2``, …, writes the true classes of all of them to ``labels.csv`` in the working directory,
and ends when the prediction log holds the last of them.
"""

from __future__ import annotations

import contextlib
import csv
import http.client
import io
import json
import sys
import time
from pathlib import Path

from penstock.server.cli.main import main as penstock

DATA = Path(__file__).resolve().parents[2] / "examples" / "data" / "breast-cancer.csv"
PATH = "/v2/models/breast-cancer/infer"
LOGGED_SECONDS = 60.0


def send(port: int) -> list[tuple[str, str]]:
    """Send all rows; gives request ids and truths, or nothing without such a model."""
    with DATA.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    sent = []
    for number, (*features, truth) in enumerate(rows, start=1):
        tensor = {"name": "features", "datatype": "FP32", "shape": [1, len(features)]}
        body = json.dumps({"inputs": [tensor | {"data": [float(value) for value in features]}]})
        headers = {"content-type": "application/json", "x-request-id": f"order-{number}"}
        connection.request("POST", PATH, body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.HTTPStatus.OK:
            return []
        sent.append((f"order-{number}", truth))
    return sent


def await_log(request_id: str) -> None:
    """Return when the prediction is in the log."""
    give_up = time.monotonic() + LOGGED_SECONDS
    while True:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = penstock(["predictions", "show", request_id])
        if status == 0:
            return
        if time.monotonic() > give_up:
            sys.exit(f"{request_id} is not in the prediction log: {said.getvalue()}")
        time.sleep(0.2)


def main() -> None:
    sent = send(int(sys.argv[1]))
    if not sent:
        return
    lines = ["request_id,label", *(f"{name},{truth}" for name, truth in sent)]
    Path("labels.csv").write_text("\n".join(lines) + "\n")
    await_log(sent[-1][0])


if __name__ == "__main__":
    main()
