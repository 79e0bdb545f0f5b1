"""What the supervisor starts."""

from __future__ import annotations

import socket

import pytest

from penstock.server.config import ServerConfig
from penstock.server.processes.run_directory import RunDirectory
from penstock.server.processes.supervisor import Supervisor


@pytest.mark.parametrize(("rate", "there"), [(0.0, False), (0.01, True)])
def test_there_is_a_monitor_while_something_is_sampled(tmp_path, rate, there):
    config = ServerConfig(sample_rate=rate, workers=2)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as two:
        supervisor = Supervisor(config, RunDirectory(tmp_path), one, two, print)
    children = {child.name: child for child in (*supervisor._others, *supervisor._workers)}
    assert ("monitor" in children) is there
    assert {"control", "worker-0", "worker-1"} <= children.keys()
