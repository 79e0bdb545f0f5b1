"""The command line: small, tidy, and the same as the configuration."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from penstock.monitoring.distribution import server_version
from penstock.server.cli.main import build_parser, main
from penstock.server.config import OPTIONS

HEAVY = ["numpy", "onnxruntime", "uvicorn", "starlette", "msgpack", "prometheus_client", "rich"]


def test_every_option_has_a_flag():
    parser = build_parser()
    values = {one.flag: "1" for one in OPTIONS if one.name != "registry"}
    arguments = [part for pair in values.items() for part in pair]
    namespace = parser.parse_args(["serve", "models", *arguments])
    assert all(getattr(namespace, one.name) is not None for one in OPTIONS)


def test_a_switch_needs_no_value():
    assert build_parser().parse_args(["serve", "--access-log", "--port", "1"]).access_log == "true"


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


def test_a_wrong_configuration_is_status_2(capsys, tmp_path):
    assert main(["serve", str(tmp_path / "absent")]) == 2
    assert "expected a directory of model directories" in capsys.readouterr().err
    assert main(["serve", str(tmp_path), "--workers", "none"]) == 2
    assert "command line: workers is 'none'" in capsys.readouterr().err


def test_nothing_heavy_is_imported_for_the_command_line_or_the_supervisor():
    code = (
        "import json, sys, penstock.server.cli.serve, penstock.server.processes.supervisor,"
        "penstock.server.processes.run_directory, penstock.server.registry.repository,"
        "penstock.server.processes.listening, penstock.server.cli.main as m;"
        "m.build_parser(); print(json.dumps(sorted(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert not set(HEAVY) & set(json.loads(result.stdout))
