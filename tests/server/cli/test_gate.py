"""``penstock gate show``: what it prints of the answer of a server."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import closing

import pytest

from penstock.server.cli.main import main
from penstock.server.gates.gate_report import GateReport, GateResult, Verdict

REPORT = GateReport("m", 2, "sha256:1", "q", (GateResult("golden", Verdict.FAILED, "it differs"),))
FOUND = {"model": "m", "version": 2, "state": "held", "reason": "by a gate", "approvals": []}


@pytest.fixture
def shown(capsys):
    """Runs ``gate show`` against a server that answers one request; gives its output."""

    def show(*options):
        body = json.dumps(FOUND | {"report": REPORT.to_json()}).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)

        def answer():
            connection, _ = listener.accept()
            with closing(connection):
                connection.recv(65536)
                connection.sendall(head + body)

        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            server = threading.Thread(target=answer)
            server.start()
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            assert main(["gate", "show", "m", "2", "--admin-url", url, *options]) == 0
            server.join()
        return capsys.readouterr().out

    return show


def test_with_a_page_json_is_still_one_value(shown, tmp_path):
    page = tmp_path / "gates.html"
    found = json.loads(shown("--json", "-o", str(page)))
    assert found == FOUND | {"report": json.loads(json.dumps(REPORT.to_json()))}
    assert "it differs" in page.read_text()


def test_without_json_the_report_and_the_state_are_told(shown):
    told = shown()
    assert "it differs" in told
    assert told.endswith("m version 2: held by a gate\n")
