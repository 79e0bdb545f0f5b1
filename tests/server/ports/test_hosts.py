"""Which hosts a request may name."""

from __future__ import annotations

import pytest

from penstock.server.config.hosts import AllowedHosts
from penstock.server.errors import InvalidRequest, MisdirectedRequest
from penstock.server.files.config_error import ConfigError


def passes(hosts: AllowedHosts, *values: str) -> bool:
    refusal = hosts.refusal([(b"host", value.encode("latin-1")) for value in values])
    assert refusal is None or isinstance(refusal, (InvalidRequest, MisdirectedRequest))
    return refusal is None


LOCAL = [
    "localhost", "LocalHost:8000", "localhost.", "app.localhost:1", "127.0.0.1", "127.0.0.1:8000",
    "127.9.9.9", "[::1]", "[::1]:8000", "10.0.0.7:80", "0.0.0.0", "penstock", "penstock:8000",
    "my-laptop",
]  # fmt: skip
FOREIGN = [
    "evil.example.com", "evil.example.com:8000", "127.0.0.1.evil.example", "localhost.evil.example",
    "evil.example.", "127.1", "a@b.example", "localhost@evil.example", "", " ", "[::1", "a b",
    "evil.example/localhost", "evil.example#localhost", "127.0.0.1:8000.evil.example", "é.example",
    "localhost:port",
]  # fmt: skip


@pytest.mark.parametrize("host", LOCAL)
@pytest.mark.parametrize("bound", ["127.0.0.1", "localhost", "::1"])
def test_on_loopback_local_names_and_addresses_pass(host: str, bound: str) -> None:
    assert passes(AllowedHosts("", bound), host)


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("bound", ["127.0.0.1", "localhost", "::1"])
def test_on_loopback_names_of_the_public_dns_are_refused(host: str, bound: str) -> None:
    assert not passes(AllowedHosts("", bound), host)


@pytest.mark.parametrize("bound", ["0.0.0.0", "::", "10.0.0.7", "server.example.com"])
def test_elsewhere_every_name_passes_unless_some_are_listed(bound: str) -> None:
    assert passes(AllowedHosts("", bound), "api.example.com")
    listed = AllowedHosts("api.example.com, *.svc.cluster.local", bound)
    assert passes(listed, "api.example.com:443")
    assert passes(listed, "penstock.ns.svc.cluster.local")
    assert passes(listed, "10.1.2.3:8000")  # a probe
    assert passes(listed, "localhost")
    for other in ("example.com", "x.api.example.com", "evil-api.example.com", "svc.cluster.local"):
        assert not passes(listed, other)
    assert passes(AllowedHosts("*", bound), "evil.example.com")


def test_the_error_names_the_host_and_the_option() -> None:
    refusal = AllowedHosts("", "127.0.0.1").refusal([(b"host", b"x." * 5000 + b"example")])
    assert refusal is not None
    assert refusal.status == 421
    assert "--allowed-hosts" in refusal.message
    assert len(refusal.message) < 300


@pytest.mark.parametrize("allowed", ["", "*", "api.example.com"])
def test_http_1_1_has_one_host_whatever_hosts_are_allowed(allowed: str) -> None:
    hosts = AllowedHosts(allowed, "127.0.0.1")
    for given in ([], [(b"host", b"localhost")] * 2):
        refusal = hosts.refusal(given)
        assert refusal is not None
        assert refusal.status == 400
    assert hosts.refusal([], "1.0") is None
    assert hosts.refusal([], "2") is None
    assert hosts.refusal([(b"host", b"localhost")] * 2, "1.0") is not None


@pytest.mark.parametrize("names", ["http://api.example.com", "api.example.com:80", "a b", "*.*"])
def test_what_can_be_no_name_is_a_mistake(names: str) -> None:
    with pytest.raises(ConfigError, match="allowed_hosts has"):
        AllowedHosts(names, "127.0.0.1")
