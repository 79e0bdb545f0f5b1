"""Configuration: four sources in one order, and errors that say where and what."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from penstock.server.config.config import OPTIONS, ServerConfig, load_config
from penstock.server.files.config_error import ConfigError
from penstock.server.ports.limits import Limits

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def load(arguments=None, environ=None, file=None):
    return load_config({"registry": "models", **(arguments or {})}, environ or {}, file)


def toml(tmp_path, text):
    path = tmp_path / "some.toml"
    path.write_text(text)
    return path


def test_later_sources_win(tmp_path):
    file = toml(tmp_path, 'port = 1\nworkers = 2\nlog_level = "error"\nthreads = 5')
    environ = {"PENSTOCK_PORT": "3", "PENSTOCK_WORKERS": "4"}
    config = load({"port": "7"}, environ, file)
    assert (config.port, config.workers, config.log_level, config.threads) == (7, 4, "error", 5)
    assert config.max_header_count == 100


def test_the_file_in_the_working_directory_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load().port == 8000
    (tmp_path / "penstock.toml").write_text("port = 9")
    assert load().port == 9
    (tmp_path / "other.toml").write_text("port = 10")
    assert load(environ={"PENSTOCK_CONFIG": "other.toml"}).port == 10


def test_port_counts_only_without_penstock_port():
    assert load(environ={"PORT": "8080"}).port == 8080
    assert load(environ={"PORT": "8080", "PENSTOCK_PORT": "9"}).port == 9


def test_platforms_that_run_containers_are_understood():
    environ = {"AIP_HTTP_PORT": "8080", "PORT": "9", "AIP_PREDICT_ROUTE": "/p:predict"}
    config = load(environ={**environ, "AIP_HEALTH_ROUTE": "/well"})
    assert config.port == 8080
    assert config.routes() == {"/p:predict": "/invocations", "/well": "/v2/health/ready"}
    assert load(environ={"SAGEMAKER_BIND_TO_PORT": "8081"}).port == 8081


def test_a_kubernetes_service_called_penstock_does_no_harm():
    environ = {
        "PENSTOCK_PORT": "tcp://10.0.0.7:80",
        "PENSTOCK_PORT_80_TCP_ADDR": "10.0.0.7",
        "PENSTOCK_SERVICE_HOST": "10.0.0.7",
        "PENSTOCK_SERVICE_PORT_HTTP": "80",
        "PORT": "8080",
    }
    assert load(environ=environ).port == 8080


@pytest.mark.parametrize(
    ("text", "size"),
    [(65536, 65536), ("65536", 65536), ("64KiB", 65536), ("2 mib", 2 << 20), ("1GiB", 1 << 30)],
)
def test_sizes_have_units(text, size):
    assert load({"max_body_bytes": text}).max_body_bytes == size


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("port", "http", "port is 'http', expected a whole number from 0 to 65535"),
        ("port", "70000", "from 0 to 65535"),
        ("workers", "0", "from 1 to 1024"),
        ("log_format", "xml", "one of text, json"),
        ("max_body_bytes", "64 MB", "a size such as 65536 or 64KiB"),
        ("drain_seconds", "nan", "a number, at least 0"),
        ("access_log", "maybe", "true or false"),
        ("max_header_bytes", "2MiB", "is '2MiB', expected a size such as 65536 or 64KiB from 1024"),
        ("cors_origins", "app.example.com", "origins such as https://app.example.com"),
        ("cors_origins", "https://a.com/page", "without a path"),
        ("predict_route", "predict", "a path such as /predict"),
        ("health_route", "/a//b", "a path such as /predict"),
        ("run_timeout_seconds", "0", "a number from 1 to 86400"),
        ("workers", "9" * 5000, "from 1 to 1024"),
    ],
)
def test_a_bad_value_is_named_with_source_and_expectation(name, value, expected):
    variable = f"PENSTOCK_{name.upper()}"
    with pytest.raises(ConfigError, match=f"environment: {name}.*") as raised:
        load(environ={variable: value})
    assert expected in str(raised.value)


@pytest.mark.parametrize(
    "text", ["port = true", "port = 1.5", "access_log = 1", "host = 5", "port = '8000'"]
)
def test_toml_types_are_not_bent(tmp_path, text):
    with pytest.raises(ConfigError, match=r"some\.toml: .*expected"):
        load(file=toml(tmp_path, text))


def test_a_misspelt_key_gets_a_hint(tmp_path):
    with pytest.raises(ConfigError, match=r"some\.toml: unknown key wrokers; did you mean workers"):
        load(file=toml(tmp_path, "wrokers = 2"))
    with pytest.raises(ConfigError, match="PENSTOCK_WROKERS; did you mean PENSTOCK_WORKERS"):
        load(environ={"PENSTOCK_WROKERS": "2"})


def test_a_file_that_is_not_there_or_not_toml_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(file=tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(file=toml(tmp_path, "port = ="))


def test_a_registry_is_required():
    with pytest.raises(ConfigError, match="penstock serve REGISTRY"):
        load_config({}, {})


def test_a_key_without_a_certificate_is_refused():
    with pytest.raises(ConfigError, match="ssl_certfile"):
        load({"ssl_keyfile": "key.pem"})


def test_the_configuration_survives_its_journey_to_the_processes():
    config = load({"port": "7", "ssl_certfile": "c.pem", "drain_seconds": "1.5", "access_log": "1"})
    assert ServerConfig.from_json(config.to_json()) == config


def test_threads_are_a_share_of_the_cpus(monkeypatch):
    monkeypatch.setattr("penstock.server.config.config.available_cpus", lambda: 7)
    assert load({"workers": "2"}).execution_threads() == 3
    assert load({"workers": "9"}).execution_threads() == 1
    assert load({"workers": "2", "threads": "8"}).execution_threads() == 8


def test_the_limits_of_the_doors_have_one_default():
    ours = {option.name: option.default for option in OPTIONS}
    shared = [one for one in fields(Limits) if one.name in ours]
    assert len(shared) >= 8
    assert {one.name: ours[one.name] for one in shared} == {one.name: one.default for one in shared}


def shown(option):
    if option.name == "registry":
        return "required"
    if option.default in (None, ""):
        return ""
    if option.name.endswith("_bytes"):
        for unit, power in (("MiB", 20), ("KiB", 10)):
            if option.default % (1 << power) == 0:
                return f"`{option.default >> power}{unit}`"
    value = str(option.default)
    return f"`{value.lower() if option.kind == 'bool' else value}`"


def test_the_documentation_lists_every_option():
    expected = [f"| `{one.name}` | {shown(one)} | {one.help} |" for one in OPTIONS]
    page = DOCUMENT.read_text()
    table = page[page.index("## The server") :].partition("\n## ")[0]
    found = re.findall(r"^\| `[a-z_]+` \|.*$", table, re.MULTILINE)
    assert found == expected, "\n" + "\n".join(expected)


def test_more_workers_than_the_cpus_can_use_are_refused_unless_forced(monkeypatch):
    monkeypatch.setattr("penstock.server.config.config.available_cpus", lambda: 2)
    assert load({"workers": "8"}).workers == 8
    with pytest.raises(ConfigError, match=r"workers is 9, expected at most 8.*--force-workers"):
        load({"workers": "9"})
    forced = load({"workers": "1000", "force_workers": "true"})
    assert forced.workers == 1000
    # The processes of a running server take what they are given, whatever CPUs there are by now.
    monkeypatch.setattr("penstock.server.config.config.available_cpus", lambda: 1)
    assert ServerConfig.from_json(load({"workers": "4"}).to_json()).workers == 4


def test_without_a_registry_the_model_is_served_that_sagemaker_has_mounted(tmp_path):
    mounted = tmp_path / "model"
    with pytest.raises(ConfigError, match="no registry was given"):
        load_config({}, {}, mounted=mounted)
    mounted.mkdir()
    found = load_config({"registry": None}, {}, mounted=mounted)
    assert (found.registry, found.host, found.port) == (mounted, "0.0.0.0", 8080)
    assert load_config({}, {"SAGEMAKER_BIND_TO_PORT": "9000"}, mounted=mounted).port == 9000
    named = load_config({}, {"PENSTOCK_REGISTRY": "models"}, mounted=mounted)
    assert (named.registry, named.host, named.port) == (Path("models"), "127.0.0.1", 8000)


def test_libraries_of_operators_are_files_outside_of_the_registry(tmp_path):
    library, pushed = tmp_path / "ops.so", tmp_path / "registry" / "ops.so"
    pushed.parent.mkdir()
    for one in (library, pushed):
        one.write_bytes(b"")
    (tmp_path / "link.so").symlink_to(pushed)

    def named(*paths):
        said = {"registry": str(pushed.parent), "operator_libraries": ":".join(map(str, paths))}
        return load(said).libraries()

    assert named() == ()
    assert named(library, library) == (str(library), str(library))
    for path in ("ops.so", tmp_path / "absent.so", tmp_path):
        with pytest.raises(ConfigError, match="expected the absolute path of a library"):
            named(library, path)
    for path in (pushed, tmp_path / "link.so"):
        with pytest.raises(ConfigError, match="which is in the registry"):
            named(path)
