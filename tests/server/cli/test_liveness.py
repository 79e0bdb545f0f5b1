"""The health check of a container asks the port on which the server listens."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import closing, contextmanager

import pytest

from penstock.server.cli import liveness
from penstock.server.processes import run_directory
from penstock.server.processes.run_directory import RunDirectory, process_namespace


@pytest.fixture(autouse=True)
def memory(tmp_path_factory, monkeypatch):
    """Run directories and a working directory of the test's own, and no port in its environment."""
    path = tmp_path_factory.mktemp("m")  # short: sockets go there
    monkeypatch.setattr(run_directory, "_parent", lambda: path)
    monkeypatch.chdir(path)
    for name in ("PORT", "AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT", "PENSTOCK_RUN_DIR"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def answering(status="200 OK"):
    """The port of a server that answers one request, and the first lines of that request."""
    asked = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def answer():
            connection, _ = listener.accept()
            with closing(connection):
                asked.append(connection.recv(65536))
                head = f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"
                connection.sendall(head.encode())

        server = threading.Thread(target=answer, daemon=True)
        server.start()
        yield listener.getsockname()[1], asked


@contextmanager
def serving(port, processes=None, path=None):
    """The run directory of a server that says where it listens."""
    directory = RunDirectory.create(path)
    where = process_namespace() if processes is None else processes
    said = {"predict_url": f"http://127.0.0.1:{port}", "processes": where}
    directory.address.write_text(json.dumps(said))
    yield
    directory.remove()


@pytest.mark.parametrize(("status", "expected"), [("200 OK", 0), ("503 Busy", 1)])
def test_the_server_is_asked_where_it_listens(status, expected, monkeypatch):
    monkeypatch.setenv("PORT", "9")
    with answering(status) as (port, asked), serving(port):
        assert liveness.main() == expected
    assert asked[0].startswith(b"GET /v2/health/live ")


def test_a_server_that_does_not_answer_is_told(capsys):
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with serving(port):
        assert liveness.main() == 1
    assert "the server does not answer" in capsys.readouterr().err


def test_a_server_that_is_just_starting_is_not_alive_yet():
    directory = RunDirectory.create(None)
    assert liveness.main() == 1
    directory.remove()


def test_the_server_of_another_container_is_not_asked():
    with answering() as (port, _), serving(1, processes="pid:[1]"), serving(port):
        assert liveness.main() == 0


def test_a_run_directory_of_its_own_is_found_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("PENSTOCK_RUN_DIR", str(tmp_path / "run"))
    with answering() as (port, _), serving(port, path=tmp_path / "run"):
        assert liveness.main() == 0


@pytest.mark.parametrize("variable", ["PORT", "AIP_HTTP_PORT", "PENSTOCK_PORT"])
def test_without_a_run_directory_the_configured_port_is_asked(variable, monkeypatch):
    with answering() as (port, _):
        monkeypatch.setenv(variable, str(port))
        assert liveness.main() == 0
    monkeypatch.setenv(variable, "9")
    assert liveness.main() == 1


def test_a_wrong_configuration_is_no_life(monkeypatch, capsys):
    monkeypatch.setenv("PENSTOCK_PORT", "many")
    assert liveness.main() == 1
    assert "port is 'many'" in capsys.readouterr().err
