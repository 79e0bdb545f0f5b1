"""The extra is loaded by the processes that have a port of gRPC, and by no others."""

from __future__ import annotations

import subprocess
import sys

import pytest

from penstock.server.cli import needed_extras, supervise

PROCESSES = ("worker.worker", "control.control", "cli.main", "cli.supervise", "http.single")


def test_processes_without_a_port_do_not_load_grpc() -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {PROCESSES}: importlib.import_module(f'penstock.server.{{name}}')\n"
        "print({'grpc', 'google.protobuf'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


@pytest.mark.parametrize("option", ["grpc_port", "admin_grpc_port"])
def test_a_port_without_the_extra_is_refused_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path, option: str
) -> None:
    monkeypatch.setattr(needed_extras, "find_spec", lambda _: None)
    given = {"registry": str(tmp_path), option: "0", "log_format": None}
    assert supervise._serve(given, None) == 2
    assert "pip install 'penstock-server[grpc]'" in capsys.readouterr().err
