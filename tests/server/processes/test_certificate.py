"""Certificates change while the server runs: new ones serve, bad ones change nothing."""

from __future__ import annotations

import socket
import ssl
import subprocess
from urllib.parse import urlsplit

import pytest

from penstock.server.worker.certificate import Certificate

pytestmark = pytest.mark.slow


def make(directory, name, kind=("rsa:2048",)):
    """A certificate and its key, renewed in place as tools do."""
    new = [directory / f"{one}.new" for one in ("crt", "key")]
    request = ["openssl", "req", "-x509", "-nodes", "-days", "9", "-subj", f"/CN={name}"]
    files = ["-out", new[0], "-keyout", new[1]]
    subprocess.run([*request, "-newkey", *kind, *files], check=True, capture_output=True)
    for one in new:
        one.replace(one.with_suffix(""))
    return directory / "crt", directory / "key"


EC = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


def common_name(url):
    """Of the certificate that a new connection gets."""
    parts = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((parts.hostname, parts.port), timeout=60) as plain,
        context.wrap_socket(plain) as connection,
    ):
        content = connection.getpeercert(binary_form=True)
    return next(one for one in (b"first", b"second", b"third") if one in content).decode()


def test_a_bad_pair_keeps_the_good_one_also_over_a_restart(tmp_path):
    certificate, key = make(tmp_path, "first")
    place = tmp_path / "run"
    place.mkdir()
    one = Certificate(certificate, key, place)
    one.open()
    before = one.context
    certificate.write_text("")
    one.refresh()
    assert one.context is before
    again = Certificate(certificate, key, place)
    again.open()  # the next life of a worker
    make(tmp_path, "second")
    one.refresh()
    assert one.context is not before
    nothing = tmp_path / "other"
    nothing.mkdir()
    certificate.write_text("")
    with pytest.raises(ssl.SSLError):
        Certificate(certificate, key, nothing).open()


def test_new_connections_get_the_new_certificate_and_a_bad_one_stops_nobody(serve, tmp_path):
    certificate, key = make(tmp_path, "first")
    server = serve("--ssl-certfile", certificate, "--ssl-keyfile", key, monitor=False)
    assert common_name(server.url) == "first"
    make(tmp_path, "second", EC)  # of another kind: none of the old one may be left
    server.until(lambda: common_name(server.url) == "second")
    certificate.write_text("")
    server.kill("worker-0")
    server.until(lambda: server.status()["converged"])
    assert common_name(server.url) == "second"
    make(tmp_path, "third")
    server.until(lambda: common_name(server.url) == "third")
