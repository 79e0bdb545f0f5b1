"""What a server sends out of its machine: nothing. Looked at where every process can be seen."""

from __future__ import annotations

import os
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest


def peers_of(pid: int) -> set[str]:
    """Remote addresses of the TCP and UDP sockets that a process has open."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed since it was listed
            target = str(entry.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = set()
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                found.add(address_of(fields[2].partition(":")[0]))
    return found


def address_of(digits: str) -> str:
    """Groups of four bytes, each with its lowest byte first, as Linux writes them."""
    words = [bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8)]
    return str(ip_address(b"".join(words)))


def test_addresses_are_read_as_linux_writes_them() -> None:
    assert address_of("0100007F") == "127.0.0.1"
    assert address_of("00000000000000000000000001000000") == "::1"


@pytest.fixture
def home(monkeypatch, tmp_path):
    """An empty one, in an environment that says nothing of telemetry."""
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("HOME", str(path))
    for name in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "CI"):
        monkeypatch.delenv(name, raising=False)
    return path


def test_a_server_leaves_nothing_in_the_home_and_talks_to_nobody_else(home, serve, load):
    # What a server is given; it sets the variable itself before it begins anew as the supervisor.
    assert not [name for name in os.environ if name.startswith("ORT_")]
    server = serve()
    environment = Path(f"/proc/{server.process.pid}/environ").read_bytes().split(b"\0")
    assert f"HOME={home}".encode() in environment
    with load(server.url) as running:
        running.wait_for(20)
        children = server.children()
        assert {"control", "monitor", "shadow", "worker-0"} <= set(children)
        peers = {one for pid in children.values() for one in peers_of(pid)}
    unspecified = {"0.0.0.0", "::"}  # of listening sockets
    assert peers - unspecified, "the connections of the load are among them"
    assert all(ip_address(one).is_loopback for one in peers - unspecified)
    assert [path for path in home.rglob("*") if path.is_file()] == []
