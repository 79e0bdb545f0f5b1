"""Every system call of a whole server that opens or uses a network address, by strace."""

from __future__ import annotations

import json
import re
import shutil
import time
import urllib.error
import urllib.request
from contextlib import suppress
from ipaddress import ip_address

#: Longer than onnxruntime takes before it reports for the first time.
WATCHED_SECONDS = 45.0
CALL = re.compile(
    r'sin6?_port=htons\((?P<port>\d+)\).*?(?:inet_addr\("|inet_pton\(AF_INET6, ")(?P<to>[^"]+)"'
)


def addresses(trace):
    """Port and address of every socket address in the trace."""
    return {(int(one["port"]), one["to"]) for one in CALL.finditer(trace)}


def test_addresses_are_found_in_a_trace():
    trace = """
12 connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("192.0.2.1")}, 16) = 0
13 sendto(3, "x", 1, 0, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), \
inet_pton(AF_INET6, "2001:db8::1", &sin6_addr), sin6_scope_id=0}, 28) = 1
"""
    assert addresses(trace) == {(53, "192.0.2.1"), (443, "2001:db8::1")}


def test_no_process_of_a_server_asks_another_machine(registry, serve, tmp_path):
    strace = shutil.which("strace")
    assert strace, "strace is not installed; `make test-integrations` installs it as root"
    home = tmp_path / "home"
    home.mkdir()
    trace = tmp_path / "trace"
    watch = (strace, "-f", "-qq", "-e", "trace=%network", "-o", trace)
    quiet = {"HOME": str(home), "ORT_DISABLE_TELEMETRY": "0"}
    with serve(registry, tmp_path / "state", before=watch, **quiet) as server:
        end = time.monotonic() + WATCHED_SECONDS
        body = json.dumps(
            {
                "inputs": [
                    {"name": "scalar", "datatype": "FP64", "shape": [], "data": [1.0]},
                ]
            }
        ).encode()
        headers = {"content-type": "application/json"}
        answers = 0
        while time.monotonic() < end or not answers:
            request = urllib.request.Request(f"{server.url}/v2/models/0/infer", body, headers)
            # It is refused until the model is loaded, which takes longer under strace.
            with suppress(urllib.error.HTTPError), urllib.request.urlopen(request) as answer:
                answers += answer.status == 200
            assert time.monotonic() < end + WATCHED_SECONDS, "the model is not served"
            time.sleep(0.5)
    text = trace.read_text()
    seen = addresses(text)
    assert seen, "the server's own ports are among them"
    assert {to for _, to in seen if not ip_address(to).is_loopback} == set()
    assert 53 not in {port for port, _ in seen}, "nobody looks a host up"
    assert [path for path in home.rglob("*") if path.is_file()] == []
