"""The files of a deployment fit each other, the image and the server's options."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.monitoring.alerts.alerts_file import read_settings
from penstock.monitoring.alerts.template import COMMANDS
from penstock.server.config.config import OPTIONS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def services(compose: Any) -> dict[str, Any]:
    services: dict[str, Any] = compose["services"]
    return services


def mounts(service: Any) -> dict[str, str]:
    """Place in the container -> file, folder or volume."""
    found = {}
    for text in service.get("volumes", []):
        source, place, *_ = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text).split(":")
        found[place] = source
    return found


def test_everything_parses() -> None:
    files = [path for path in DEPLOY.rglob("*") if path.suffix in {".yml", ".yaml", ".json"}]
    assert len(files) >= 14
    assert all(yaml.safe_load(path.read_text()) for path in files)  # JSON is YAML, too


def test_images_are_pinned(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if "build" in service:
            assert (DEPLOY / service["build"]).resolve() == ROOT
        else:
            assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name


def test_ports_are_on_loopback(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == len(set(ports)) == 5
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_is_mounted_is_there(services: dict[str, Any], compose: Any) -> None:
    for service in services.values():
        for source in mounts(service).values():
            if source.startswith("."):
                assert (DEPLOY / source).exists(), source
            else:
                assert source in compose["volumes"]


def test_the_server_knows_its_options(services: dict[str, Any]) -> None:
    verb, registry, *flags = services["penstock"]["command"]
    assert (verb, registry) == ("serve", "/models")
    known = {option.flag for option in OPTIONS}
    given = dict(flag.split("=", 1) for flag in flags)
    assert given.keys() <= known
    places = mounts(services["penstock"])
    assert registry in places
    assert given["--state-dir"] in places
    folder, _, file = given["--alerts-file"].rpartition("/")
    assert (DEPLOY / places[folder] / file).is_file()
    # Others reach it by the network of the containers, at the ports it has by default.
    assert given["--host"] == given["--admin-host"] == "0.0.0.0"
    ports = {option.name: str(option.default) for option in OPTIONS}
    inside = {port.rsplit(":", 1)[1] for port in services["penstock"]["ports"]}
    assert inside == {ports["port"], ports["admin_port"]}


def test_the_user_of_the_image_owns_the_state(services: dict[str, Any]) -> None:
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    place = "/state"
    assert f"os.chown('{place}', {user[1]}, {user[2]})" in services["state"]["entrypoint"][2]
    volume = mounts(services["state"])[place]
    assert mounts(services["penstock"])[place] == volume
    assert services["alertmanager"]["user"] == f"{user[1]}:{user[2]}"
    assert volume in mounts(services["alertmanager"]).values()


def test_prometheus_reaches_the_admin_port(services: dict[str, Any]) -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    default = {option.name: option.default for option in OPTIONS}["admin_port"]
    assert (job["job_name"], host in services, port) == ("penstock", True, str(default))
    assert (DEPLOY / "prometheus" / config["rule_files"][0]).is_file()
    (manager,) = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert manager.partition(":")[0] in services


def test_alertmanager_tells_an_endpoint_that_exists(services: dict[str, Any], admin: Any) -> None:
    config = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
    (hook,) = next(one for one in config["receivers"] if one["name"] == "penstock")[
        "webhook_configs"
    ]
    host, path = re.fullmatch(r"http://(\w+):8001(/.*)", hook["url"]).groups()  # type: ignore[union-attr]
    assert host in services
    assert "post" in json.loads(admin("/openapi.json"))["paths"][path]
    token = hook["http_config"]["authorization"]["credentials_file"]
    folder, _, name = token.rpartition("/")
    assert mounts(services["alertmanager"])[folder] == "state"
    assert name == "admin-token"


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed")
def test_alertmanager_takes_its_configuration() -> None:
    path = DEPLOY / "alertmanager" / "alertmanager.yml"
    done = subprocess.run(["amtool", "check-config", path], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_grafana_finds_its_dashboards(services: dict[str, Any], dashboards: dict[str, Any]) -> None:
    folder = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    (provider,) = yaml.safe_load((folder / "dashboards" / "penstock.yml").read_text())["providers"]
    places = mounts(services["grafana"])
    assert places[provider["options"]["path"]] == "./grafana/dashboards"
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert Path(home).name in dashboards
    for dashboard in dashboards.values():
        uids = set(re.findall(r'"uid": "(\w+)"', json.dumps(dashboard))) - {dashboard["uid"]}
        assert uids == {source["uid"]}
    assert len({one["uid"] for one in dashboards.values()}) == len(dashboards) == 5


def test_panels_do_not_lie_over_each_other(dashboards: dict[str, Any]) -> None:
    for name, dashboard in dashboards.items():
        panels = dashboard["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        for one, other in combinations((panel["gridPos"] for panel in panels), 2):
            apart = (
                one["x"] + one["w"] <= other["x"]
                or other["x"] + other["w"] <= one["x"]
                or one["y"] + one["h"] <= other["y"]
                or other["y"] + other["h"] <= one["y"]
            )
            assert apart, (name, one, other)
            assert one["x"] + one["w"] <= 24


def test_the_alerts_file_and_its_examples_are_valid(tmp_path: Path) -> None:
    text = (DEPLOY / "penstock" / "alerts.toml").read_text()
    assert list(read_settings(DEPLOY / "penstock" / "alerts.toml").sinks) == ["log"]
    path = tmp_path / "alerts.toml"
    path.write_text(re.sub(r"^# (?=[a-z\[])", "", text, flags=re.MULTILINE))
    assert list(read_settings(path).sinks) == ["log", "team", "oncall", "retrain"]


def test_commands_that_alerts_name_can_be_typed(rules: list[Any], parsed: Any) -> None:
    """In rules and in the alerts that the server sends itself."""
    lines = {one for commands in COMMANDS.values() for one in commands}
    lines |= {rule["annotations"]["command"] for rule in rules if "alert" in rule}
    for line in {part.strip() for one in lines for part in one.split(";")}:
        plain = re.sub(r"\{\{.*?\}\}|\{model\}", "churn", line)
        program, *arguments = shlex.split(plain)
        assert program == "penstock"
        assert callable(parsed(arguments).run)
