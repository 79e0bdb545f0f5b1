"""``penstock doctor``: each defect of a machine is found, and its mend named."""

from __future__ import annotations

import json
import os
import shutil
import socket
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.server.cli import needed_extras
from penstock.server.cli.machine import Machine, RegistryFacts, read_machine
from penstock.server.cli.machine_checks import Level, findings
from penstock.server.cli.main import main
from penstock.server.config.config import ServerConfig

GIB = 1 << 30
CONFIG = ServerConfig(registry=Path("models"), workers=1, threads=2)
SOUND = Machine(
    now=1000.0,
    ports={"port": "", "admin-port": ""},
    running=frozenset({9000}),
    registry=RegistryFacts(Path("models"), models=2, directories=10, newest=900.0),
    state=Path("models/.penstock"),
    state_error="",
    state_free_bytes=10 * GIB,
    sockets_error="",
    shared_memory_bytes=GIB,
    watches=65_536,
    watching_error="",
    open_files=65_536,
    cpus=4,
    quota=None,
    memory_bytes=8 * GIB,
    clock_kept=True,
    extras={"monitor": (), "analytics": ()},
)


def wrong(machine, config=CONFIG):
    return [one for one in findings(machine, config) if one.level is not Level.OK]


def test_a_sound_machine_has_no_findings_that_are_wrong():
    assert wrong(SOUND) == []
    names = [one.check for one in findings(SOUND, CONFIG)]
    assert {"ports", "permissions", "/dev/shm", "inotify", "cpus", "clock", "extras"} <= set(names)


def registry(**changes):
    return {"registry": replace(SOUND.registry, **changes)}


@pytest.mark.parametrize(
    ("changes", "check", "level", "found", "mend"),
    [
        (
            {"ports": {"port": "port 80 is reserved for root; choose one", "admin-port": ""}},
            *("ports", "failed", "port 80 is reserved", "choose one"),
        ),
        (registry(error="no directory"), "registry", "failed", "no directory", "REGISTRY"),
        (registry(problems=("m/x: bad",)), "registry", "failed", "m/x: bad", "correct it"),
        (
            registry(missing=(("iris", "pip install 'penstock-server[xgboost]'"),)),
            *("extras", "failed", "iris", "pip install 'penstock-server[xgboost]'"),
        ),
        ({"state_error": "read-only"}, "permissions", "warning", "read-only", "--state-dir"),
        ({"state_free_bytes": 1000}, "disk", "warning", "room for 0 MiB", "--log-max-bytes"),
        ({"sockets_error": "too long"}, "permissions", "failed", "too long", "--run-dir"),
        ({"shared_memory_bytes": None}, "/dev/shm", "warning", "no /dev/shm", "--shm-size"),
        ({"shared_memory_bytes": GIB // 64}, "/dev/shm", "warning", "16 MiB", "--shm-size"),
        ({"watching_error": "EMFILE"}, "inotify", "warning", "EMFILE", "max_user_instances"),
        ({"watches": 100}, "inotify", "warning", "10 directories", "max_user_watches=65536"),
        (registry(directories=80_000), "inotify", "warning", "80000", "max_user_watches=162048"),
        ({"open_files": 1024}, "files", "warning", "1024 open files", "ulimit -n"),
        ({"quota": 0.5, "cpus": 1}, "cpus", "warning", "the quota is 0.5", "--cpus 1"),
        ({"cpus": 1}, "cpus", "warning", "2 execution threads", "--threads"),
        ({"memory_bytes": GIB // 4}, "memory", "warning", "256 MiB", "--max-memory-bytes"),
        (registry(newest=1100.0), "clock", "failed", "100 s behind", "chrony"),
        ({"clock_kept": False}, "clock", "warning", "nothing is known", "timesyncd"),
        (
            {"extras": {"monitor": ("scipy",)}},
            *("extras", "warning", "scipy is not installed", "penstock-server[monitor]"),
        ),
        ({"foreign": "it is installed. Run: pip"}, "packages", "failed", "installed", "Run: pip"),
    ],
)
def test_each_defect_is_found_alone_with_its_mend(changes, check, level, found, mend):
    (one,) = wrong(replace(SOUND, **changes))
    assert (one.check, one.level) == (check, level)
    assert found in one.found
    assert mend in one.mend


def test_what_is_not_known_is_no_defect():
    assert wrong(replace(SOUND, watches=None, clock_kept=None, memory_bytes=0)) == []


def test_the_port_of_a_server_that_runs_here_is_no_defect():
    taken = replace(SOUND, ports={"port": "port 8000 is in use", "admin-port": ""})
    assert [one.check for one in wrong(taken)] == ["ports"]
    assert wrong(replace(taken, running=frozenset({8000}))) == []


def test_ports_of_grpc_are_looked_at_if_there_are_any(tmp_path):
    assert set(read_machine(ServerConfig(registry=tmp_path), 0.0).ports) == {"port", "admin-port"}
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        number = taken.getsockname()[1]
        config = ServerConfig(registry=tmp_path, port=0, admin_port=0, grpc_port=number)
        machine = read_machine(replace(config, admin_grpc_port=0), 0.0)
    assert machine.ports.keys() == {"port", "admin-port", "grpc-port", "admin-grpc-port"}
    assert machine.ports["admin-grpc-port"] == ""
    (found,) = [one for one in wrong(machine, config) if one.check == "ports"]
    assert found.level is Level.FAILED
    assert f"port {number} on 127.0.0.1 is in use" in found.found
    assert "--grpc-port" in found.mend
    yours = replace(machine, running=frozenset({number}))
    assert "ports" not in [one.check for one in wrong(yours, config)]


def test_a_registry_in_a_store_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.delenv("AWS_ALLOW_HTTP", raising=False)
    config = ServerConfig(registry=tmp_path / "none", store="s3://bucket/models")
    (found,) = [one for one in wrong(read_machine(config, 0.0), config) if one.check == "registry"]
    assert found.level is Level.FAILED
    assert found.found == "s3://bucket/models: the endpoint is not https"
    assert "AWS_ALLOW_HTTP=true" in found.mend


def test_an_extra_that_the_configuration_needs_is_missed(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("penstock.toml").write_text("port = 0\nadmin_port = 0\ngrpc_port = 0\n")
    Path("models").mkdir()
    assert main(["doctor", "models"]) == 0
    capsys.readouterr()
    monkeypatch.setattr(needed_extras, "find_spec", lambda _: None)
    assert main(["doctor", "models", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)["findings"]
    (failed,) = [one for one in told if one["level"] == "failed"]
    assert failed["found"] == "ports of gRPC need the extra grpc"
    assert failed["mend"] == "pip install 'penstock-server[grpc]'"


def test_this_machine_is_read(tmp_path, examples_registry):
    home = tmp_path / "models"
    shutil.copytree(
        examples_registry, home, ignore=shutil.ignore_patterns(".penstock", "model.toml")
    )
    (home / "bad name!").mkdir()
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        config = ServerConfig(registry=home, port=taken.getsockname()[1], admin_port=0)
        machine = read_machine(config, 2_000_000_000.0)
    assert "is in use" in machine.ports["port"]
    assert machine.ports["admin-port"] == ""
    assert machine.registry.models == len(list(examples_registry.glob("[a-z]*/")))
    assert machine.registry.directories > machine.registry.models
    assert machine.registry.missing == ()
    assert 0.0 < machine.registry.newest < machine.now
    assert [one.partition(":")[0] for one in machine.registry.problems] == [str(home / "bad name!")]
    assert machine.state_error == ""
    assert not (home / ".penstock").exists()
    assert machine.cpus >= 1
    assert machine.sockets_error == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_registry_that_cannot_be_written_is_told(tmp_path):
    tmp_path.chmod(0o555)
    assert "cannot be written" in read_machine(ServerConfig(registry=tmp_path), 0.0).state_error


def test_a_state_directory_that_is_a_file_is_told(tmp_path):
    state = tmp_path / "state"
    state.touch()
    config = ServerConfig(registry=tmp_path, state_dir=state)
    assert read_machine(config, 0.0).state_error == f"{state} is no directory"


def test_the_verb_says_it_in_text_and_json_and_by_its_status(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("penstock.toml").write_text("port = 0\nadmin_port = 0\n")
    Path("models").mkdir()
    assert main(["doctor", "models"]) == 0
    assert "models has 0 models" in capsys.readouterr().out
    assert main(["doctor", "absent", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    (failed,) = [one for one in told["findings"] if one["level"] == "failed"]
    assert failed["check"] == "registry"
    assert "absent" in failed["found"]
    Path("penstock.toml").write_text("prot = 0\n")
    assert main(["doctor", "models", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["findings"][0]["check"] == "configuration"
    assert "unknown key prot; did you mean port" in told["findings"][0]["found"]
