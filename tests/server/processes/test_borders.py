"""The borders of both ports of a running server."""

from __future__ import annotations

import http.client
import json
import socket
import time
from urllib.parse import urlsplit

import pytest

NINES = "9" * 5000
LOAD = "/admin/models/breast-cancer/versions/1/load"


def ask(url, method, path, body=None, **headers):
    """Status, headers in lower case, and body; the path goes out as it is."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    try:
        connection.putrequest(method, path, skip_host="host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        if body is not None:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, answer.read()
    finally:
        connection.close()


@pytest.fixture
def server(serve):
    return serve()


def test_both_ports_know_their_borders(server):
    """One start, many questions: a start takes seconds."""
    token = f"Bearer {server.token}"
    for url in (server.url, server.admin_url):
        _hosts(url)
        _targets(url)
        _paths(url)
        _prefixes(url, "docs" if url == server.url else "console")
    _content_types(server.admin_url, token)
    _numbers(server.admin_url, token)
    _scrapes(server)


def _hosts(url):
    for path in ("/v2", "/metrics", "/v2/health/live", "/docs", "/none"):
        status, headers, body = ask(url, "GET", path, host="evil.example:8000")
        assert (status, headers["x-error-code"]) == (421, "misdirected_request")
        assert "--allowed-hosts" in json.loads(body)["error"]
    for host in ("localhost", "127.0.0.1:1", "[::1]", "10.0.0.9", "penstock"):
        assert ask(url, "GET", "/v2", host=host)[0] == 200


def _targets(url):
    """Whatever the form of the target, one host counts, and there is exactly one."""
    parts = urlsplit(url)
    for target, hosts, expected in (
        ("http://evil.example/v2", ["localhost"], b"421"),
        ("http://localhost/v2", ["evil.example"], b"200"),
        ("http://localhost", ["localhost"], b"307"),
        ("http://localhost/v2", [], b"400"),
        ("/v2", [], b"400"),
        ("/v2", ["localhost", "localhost"], b"400"),
        ("http://localhost/v2", ["localhost", "localhost"], b"400"),
    ):
        lines = [f"GET {target} HTTP/1.1", "connection: close", *[f"host: {one}" for one in hosts]]
        with socket.create_connection((parts.hostname, parts.port), 20) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            answer = connection.makefile("rb").read()
        assert answer.split()[1] == expected, (target, hosts, answer)


def _paths(url):
    for path in ("//v2", "/v2/.", "/x/../v2", "/%2e/v2", "/v2%2f", "/%zz"):
        status, headers, _ = ask(url, "GET", path)
        assert (status, headers["x-error-code"]) == (400, "invalid_request"), path
    for path in ("/v2/", "/%76%32", "/v2/health/live/"):
        assert ask(url, "GET", path)[0] == 200, path
    assert ask(url, "GET", "/%25%37%36")[0] == 404


def _prefixes(url, page):
    forwarded = {"x_forwarded_prefix": "/ml", "x_forwarded_host": "api.example.com"}
    assert ask(url, "GET", "/", **forwarded)[1]["location"] == f"/ml/{page}"
    assert ask(url, "GET", "/")[1]["location"] == page
    assert ask(url, "GET", "/docs/", **forwarded)[1]["location"] == "../docs"
    described = json.loads(ask(url, "GET", "/openapi.json", **forwarded)[2])
    assert described["servers"] == [{"url": "/ml"}]


def _content_types(url, token):
    body = b'{"reason": "because"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"):
        status, headers, _ = ask(url, "POST", LOAD, body, authorization=token, content_type=kind)
        assert (status, headers["x-error-code"]) == (415, "unsupported_media_type"), kind
    assert ask(url, "POST", LOAD, body, authorization=token)[0] == 415
    assert ask(url, "POST", LOAD, body, content_type="text/plain")[0] == 401
    typed = {"authorization": token, "content_type": "application/json; charset=utf-8"}
    assert ask(url, "POST", LOAD, body, **typed)[0] == 200
    assert ask(url, "POST", LOAD, authorization=token)[0] == 200
    # Triton's clients send no content type here.
    assert ask(url, "POST", "/v2/repository/index", b"{}")[0] == 200
    assert ask(url, "POST", "/v2/repository/index", b"{}", content_type="text/plain")[0] == 415


def _numbers(url, token):
    typed = {"authorization": token, "content_type": "application/json"}
    for value in (NINES, '"' + NINES + '"', "²".encode("latin-1").decode("latin-1"), "-1", ""):
        assert ask(url, "POST", LOAD, b"{}", if_match=value, **typed)[0] == 400
    for text in (NINES, "-" + NINES, "1e999", "[" * 5000):
        body = b'{"generation": %b}' % text.encode()
        assert ask(url, "POST", LOAD, body, **typed)[0] == 400
    assert ask(url, "POST", LOAD.replace("/1/", f"/{NINES}/"), **typed)[0] == 400
    for path in (
        f"/admin/models/breast-cancer/diff?from={NINES}&to=1",
        f"/admin/alerts?limit={NINES}",
        f"/admin/models/breast-cancer/drift?version={NINES}",
        f"/admin/models/breast-cancer/history?at={NINES}",
        f"/admin/models/breast-cancer/performance?since={NINES}",
    ):
        status, _, body = ask(url, "GET", path, authorization=token)
        assert status in {400, 404}, (path, body)
        assert len(body) < 1000
    accept = f"application/openmetrics-text;version={NINES}"
    assert ask(url, "GET", "/metrics", accept=accept)[0] == 200


def _scrapes(server):
    """Two thousand scrapes of which nobody waits for the answer, then the others are asked."""
    for url in (server.url, server.admin_url):
        parts = urlsplit(url)
        request = f"GET /metrics HTTP/1.1\r\nhost: {parts.netloc}\r\n\r\n".encode()
        for _ in range(1000):
            with socket.create_connection((parts.hostname, parts.port), 20) as connection:
                connection.sendall(request)
    began = time.monotonic()
    assert server.once(server.admin_url, "/admin/status")[0] == 200
    assert server.once(server.url, "/metrics")[0] == 200
    assert time.monotonic() - began < 15  # it was minutes
