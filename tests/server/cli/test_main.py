"""The command line: small, tidy, and the same as the configuration."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing

import pytest

from penstock.monitoring.distribution import server_version
from penstock.server.cli.main import main
from penstock.server.config.config import OPTIONS

HEAVY = ["numpy", "onnxruntime", "uvicorn", "starlette", "msgpack", "prometheus_client", "rich"]


def test_every_option_has_a_flag(parsed):
    values = {one.flag: "1" for one in OPTIONS if one.name != "registry"}
    arguments = [part for pair in values.items() for part in pair]
    namespace = parsed(["serve", "models", *arguments])
    assert all(getattr(namespace, one.name) is not None for one in OPTIONS)


def test_a_switch_needs_no_value(parsed):
    assert parsed(["serve", "--access-log", "--port", "1"]).access_log == "true"
    assert parsed(["serve", "--access-log", "false", "models"]).access_log == "false"
    assert parsed(["serve", "--access-log", "models"]).registry == "models"
    assert parsed(["serve", "models", "--access-log"]).access_log == "true"


def test_the_version_is_shown(capsys):
    with pytest.raises(SystemExit) as raised:
        main(["--version"])
    assert raised.value.code == 0
    assert capsys.readouterr().out == f"penstock {server_version()}\n"


@pytest.mark.parametrize("arguments", [[], ["swim"], ["serve", "--no-such-flag"]])
def test_a_wrong_command_line_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert "usage: penstock" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("absent",), "expected a directory of model directories"),
        ((".", "--workers", "none"), "command line: workers is 'none'"),
    ],
)
def test_a_wrong_configuration_is_status_2(tmp_path, arguments, said):
    with started("serve", *arguments, cwd=tmp_path) as process:
        assert said in process.communicate(timeout=60)[1]
    assert process.returncode == 2


def test_nothing_heavy_is_imported_for_the_command_line_or_the_supervisor():
    code = (
        "import json, sys, penstock.server.cli.serve, penstock.server.cli.supervise,"
        "penstock.server.supervisor.supervisor,"
        "penstock.server.processes.run_directory, penstock.server.registry.repository,"
        "penstock.server.supervisor.listening, penstock.server.cli.main as m;"
        "m.build_command(); print(json.dumps(sorted(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert not set(HEAVY) & set(json.loads(result.stdout))


def test_a_supervisor_does_not_keep_what_reads_the_command_line():
    code = (
        "import json, sys, penstock.server.cli.supervise, penstock.server.supervisor.supervisor;"
        "print(json.dumps(sorted(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert not {"typer", "pydantic", "rich"} & set(json.loads(result.stdout))


def started(*arguments, **options):
    command = [sys.executable, "-m", "penstock.server.cli.main", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.mark.parametrize(
    "arguments", [("token", "n", "--scope", "operate"), ("--version",), ("canary", "--help")]
)
def test_a_reader_that_goes_away_gets_no_traceback(arguments):
    """As with ``| head``: the reader is gone before the first line is written."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "penstock.server.cli.main", *arguments]
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert done.returncode == 141


def test_a_reader_that_goes_away_between_the_lines_of_a_table_gets_no_traceback(tmp_path):
    listener = socket.create_server(("127.0.0.1", 0))
    with closing(listener):
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        reading, writing = os.pipe()
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "penstock.server.cli.main", "history", "m"),
                *("--admin-url", url, "--token", "t"),
            ],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(writing)
        os.close(reading)
        record = {"time": "t", "actor": "a", "action": "load", "before": {}, "after": {}}
        record |= {"reason": "", "evidence": {}}
        body = json.dumps({"records": [record] * 1000}).encode()
        connection, _ = listener.accept()
        with closing(connection):
            connection.recv(65536)
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
        _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
    assert process.returncode != 0


def test_ctrl_c_gives_no_traceback():
    """While a command waits for the server's answer."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        # Children inherit it if the signal is ignored, as it is in the background of a shell.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            process = started("status", "--admin-url", url, "--token", "t")
        finally:
            signal.signal(signal.SIGINT, before)
        connection, _ = listener.accept()
        with closing(connection):
            connection.recv(65536)
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=60)
    assert (process.returncode, out, errors) == (130, "", "")
