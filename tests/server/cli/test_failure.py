"""A verb that fails with ``--json`` says so as one JSON object on standard error."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import closing, suppress

import pytest

from penstock.server.cli import look, supervise
from penstock.server.cli.command_failed import CommandFailed
from penstock.server.cli.exits import Exit
from penstock.server.cli.failure import asks_for_json
from penstock.server.cli.main import main
from penstock.server.cli.verbs import VERBS
from penstock.server.errors import Conflict

NOWHERE = "http://127.0.0.1:1"
ASKING = f"--admin-url {NOWHERE} --token x"
#: Verb -> what follows it, so that it fails: a server that is not there, or files that are not.
UNREACHABLE = {
    "ui": "--no-open",
    "status": "",
    "history": "m",
    "load": "m 1",
    "unload": "m 1",
    "promote": "m 1",
    "rollback": "m",
    "alias": "m blue 1",
    "gate show": "m 1",
    "gate approve": "m 1",
    "gate override": "m 1 --reason why",
    "canary start": "m 2",
    "canary plan": "m 2",
    "canary pause": "m",
    "canary resume": "m",
    "canary promote": "m",
    "canary abort": "m",
    "canary approve": "m",
    "shadow start": "m 2",
    "shadow stop": "m",
    "ab start": "m 2",
    "ab stop": "m",
    "ab result": "m",
    "rollout report": "m",
    "rollout status": "",
    "performance": "m",
    "drift": "m",
    "baseline accept": "m 1",
    "baseline forget": "m 1",
    "monitor report": "m -o {0}/report.html",
    "alerts": "",
    "alerts test": "hook",
    "alerts mute": "m --for 1h --reason why",
    "alerts unmute": "1",
    "alerts mutes": "",
    "erase": "m --reason why --subject s",
    "retrain": "m --reason why",
    "batches": "",
    "batches start": "m in.csv -o out.csv",
    "batches show": "1",
    "batches cancel": "1",
    "batches fetch": "1 -o {0}/out.csv",
}
LOCAL = {
    "init": "{0}",
    "doctor": "{0} --zzzz",
    "token": "n",
    "push": "{0}/models m {0}/absent.onnx",
    "diff": "m 1 2 --registry {0}",
    "gate run": "{0} m 1",
    "batch": "m {0}/absent.csv",  # without --output: it would lower the priority of the tests
    "audit verify": "{0}/absent",
    "ab size": "--rate 2 --difference 0.1",
    "query": "nonsense --state-dir {0}",
    "predictions show": "r1 --state-dir {0}/absent",
    "feedback": "{0}/absent.csv",
    "baseline build": "m 1 {0}/absent.csv",
    "export": "m --labelled -o {0}/x.csv --state-dir {0}/absent",
}


def failed(arguments, capsys):
    """Status of a command, and the error that it tells."""
    try:
        status = main(arguments)
    except SystemExit as end:
        status = end.code
    shown = capsys.readouterr()
    assert shown.out == ""
    told = json.loads(shown.err.splitlines()[-1])
    assert list(told) == ["error"]
    assert list(told["error"]) == ["code", "message", "exit_status"]
    assert told["error"]["exit_status"] == status
    return status, told["error"], shown.err


def test_all_verbs_are_tried():
    assert {*UNREACHABLE, *LOCAL} == set(VERBS) - {"serve"}


@pytest.mark.parametrize("verb", UNREACHABLE)
def test_a_verb_that_reaches_no_server_says_so_as_json(verb, capsys, tmp_path):
    typed = f"{verb} {UNREACHABLE[verb]} --json {ASKING}".format(tmp_path)
    status, error, shown = failed(typed.split(), capsys)
    assert (status, error["code"]) == (1, "unreachable")
    assert error["message"].startswith(f"{NOWHERE} cannot be reached: ")
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize("verb", LOCAL)
def test_a_verb_that_needs_no_server_says_as_json_why_it_fails(verb, capsys, tmp_path):
    (tmp_path / "penstock.toml").touch()
    typed = f"{verb} {LOCAL[verb]}".format(tmp_path).split()
    plain = told_in_text(typed, capsys)
    status, error, shown = failed([*typed, "--json"], capsys)
    assert len(shown.splitlines()) == 1
    assert plain.endswith(f": {error['message']}")
    assert (status == 2) == (error["code"] == "usage")


def told_in_text(typed, capsys):
    """The last line that a command prints which fails without ``--json``."""
    with suppress(SystemExit):
        assert main(typed) != 0
    return capsys.readouterr().err.splitlines()[-1]


def test_a_server_that_cannot_start_says_why_in_its_log(tmp_path, capfd):
    order = {"given": {"registry": str(tmp_path / "absent"), "log_format": "json"}}
    assert supervise.main([json.dumps(order)]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    said = json.loads(line)["error"]
    assert (said["code"], said["exit_status"]) == ("usage", 2)
    assert "absent" in said["message"]


@pytest.mark.parametrize("verb", VERBS)
def test_a_wrong_command_line_is_told_as_json(verb, capsys):
    status, error, shown = failed([*verb.split(), "--json", "--zzzz"], capsys)
    assert (status, error["code"]) == (2, "usage")
    assert "--help" in error["message"]
    assert len(shown.splitlines()) == 1


def test_an_argument_that_is_no_text_is_told_as_json(capsys):
    status, error, _ = failed(["status", "\udcff", "--json"], capsys)
    assert (status, error["code"]) == (2, "usage")
    assert error["message"] == r"argument 2 is not UTF-8: '\udcff'"


def test_the_code_of_a_refusal_is_that_of_the_server(capsys):
    refusal = b'{"error": "generation is 3, not 2"}'
    head = b"HTTP/1.1 409 Conflict\r\nx-error-code: conflict\r\ncontent-length: %d\r\n\r\n"
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = threading.Thread(target=_answer, args=(listener, head % len(refusal) + refusal))
        server.start()
        asked = ["promote", "m", "1", "--generation", "2", "--json", "--admin-url", url]
        status, error, _ = failed(asked, capsys)
        server.join()
    assert status == 1
    assert error == {"code": "conflict", "message": "generation is 3, not 2", "exit_status": 1}


def _answer(listener, content):
    """Read one request with its body, and answer it."""
    connection, _ = listener.accept()
    with closing(connection):
        request = b""
        while not request.endswith(b"}"):
            request += connection.recv(65536)
        connection.sendall(content)


def test_an_error_that_no_command_expects_is_told_after_its_traceback(capsys, monkeypatch):
    def broken(_):
        raise ZeroDivisionError("of the test")

    monkeypatch.setattr(look, "find_server", broken)
    with pytest.raises(ZeroDivisionError):
        main(["status"])
    status, error, shown = failed(["status", "--json"], capsys)
    assert (status, error["code"]) == (1, "internal_error")
    assert error["message"] == "ZeroDivisionError: of the test"
    assert shown.startswith("Traceback")


def test_json_is_asked_for_by_an_option_and_not_by_an_argument():
    assert asks_for_json(["alerts", "--json", "test", "hook"])
    assert not asks_for_json(["query", "--format", "json", "--", "--json"])


def test_an_error_keeps_its_code_through_a_failure():
    assert CommandFailed(Conflict("taken")).code == "conflict"
    assert (
        CommandFailed(CommandFailed("gone", code="unreachable"), Exit.USAGE).code == "unreachable"
    )
    assert CommandFailed(FileNotFoundError(2, "No such file", "x")).code == "failed"
