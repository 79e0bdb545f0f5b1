"""The alerts file: what it says, and what is wrong with it in words."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from penstock.monitoring.alerts.alerts_file import AlertsFile, read_settings
from penstock.monitoring.alerts.sink import Sink, Template

PAGE = (Path(__file__).parents[3] / "docs" / "alerts.md").read_text()

GOOD = """
source = "prod-eu"
owner = "risk team"

[sinks.oncall]
template = "pagerduty"
secret_file = "pagerduty.key"
min_severity = "critical"

[sinks.retrain]
template = "airflow"
url = "http://airflow:8080"
login_file = "/run/secrets/airflow"
dag = "retrain_churn"
kinds = ["drift", "performance"]
models = ["churn*"]
cooldown_seconds = 3600
conf = { days = 30 }
"""


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "alerts.toml"
    path.write_text(GOOD)
    settings = read_settings(path)
    assert list(settings.sinks) == ["log", "oncall", "retrain"]
    assert settings.owner == "risk team"
    oncall, retrain = settings.sinks["oncall"], settings.sinks["retrain"]
    assert oncall.url == "https://events.pagerduty.com/v2/enqueue"
    assert oncall.secret_file == tmp_path / "pagerduty.key"
    assert str(retrain.login_file) == "/run/secrets/airflow"
    assert retrain.kinds == ("drift", "performance")
    assert retrain.conf == {"days": 30}


@pytest.mark.parametrize("damage", ["nonsense", None, "[sinks.a]\nsecret_file = '~nobody-here/x'"])
def test_a_later_life_goes_on_with_what_was_understood_last(
    tmp_path: Path, damage: str | None
) -> None:
    path, good = tmp_path / "etc" / "alerts.toml", tmp_path / "good.toml"
    path.parent.mkdir()
    path.write_text(GOOD)
    before = AlertsFile(path, good).current()
    path.unlink()
    if damage is not None:
        path.write_text(damage)
    later = AlertsFile(path, good)
    assert later.current() == before
    assert later.problem.startswith("the alerts file is not used, the one before it holds: ")
    good.unlink()
    alone = AlertsFile(path, good)
    assert list(alone.current().sinks) == ["log"]
    assert alone.problem.startswith("the alerts file is not used, alerts are in the log only: ")
    path.write_text(GOOD + "\n")
    assert (alone.current(), alone.problem) == (before, "")
    assert good.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[sinks.a]\nurll = 'x'", r"unknown key sinks\.a\.urll; did you mean url\?"),
        ("[sinks.a]", r"sinks\.a: url is missing, the template cloudevent"),
        ("[sinks.a]\ntemplate = 'teams'", "'teams', expected one of cloudevent"),
        ("[sinks.a]\ntemplate = 'slak'", r"sinks\.a\.template is 'slak', .*did you mean slack"),
        ("[sinks]\na = 1", r"sinks\.a is 1, expected a table"),
        ("ownr = 'x'", "unknown key ownr; did you mean owner"),
        ("[sinks.a]\nurl = 'ftp://x'", "expected http:// or https://"),
        ("[sinks.a]\nurl = 5", r"sinks\.a\.url is 5, expected a text"),
        ("[sinks.a]\nurl = 'http://x'\ntimeout_seconds = 0", "expected a number above 0"),
        ("[sinks.a]\nurl = 'http://x'\nmax_attempts = true", "expected a whole number"),
        ("[sinks.a]\nurl = 'http://x'\nkinds = 'drift'", "expected a list of texts"),
        ("[sinks.a]\nurl = 'http://x'\nmin_severity = 'bad'", "expected one of info"),
        ("[sinks.a]\ntemplate = 'github'\ntoken_file = 't'\nrepository = 'r'", "owner/name"),
        ("[sinks.a]\ntemplate = 'github'\nrepository = 'o/r'", "token_file is missing"),
        ("owner = 5", "owner is 5"),
        ("sink = {}", "unknown key sink"),
        ("sinks = 3", "sinks is 3, expected tables"),
        ("[sinks", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "alerts.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        read_settings(path)
    assert str(error.value).startswith(f"{path}: ")


def test_sinks_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "alerts.toml"
    path.write_text("\n".join(f'[sinks.s{n}]\nurl = "http://x"' for n in range(40)))
    with pytest.raises(ValueError, match="40 sinks"):
        read_settings(path)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_settings(tmp_path / "none.toml")


def test_the_page_has_every_key_and_template_and_no_other() -> None:
    tables = dict(re.findall(r"^\| ([^|]+?) \|.*\n\|-.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE))
    cells = {
        title: re.findall(r"^\| `([^`]+)`", body, re.MULTILINE) for title, body in tables.items()
    }
    assert set(cells["key of `[sinks.NAME]`"]) == {one.name for one in fields(Sink)} - {"name"}
    assert set(cells["template"]) == set(get_args(Template))


def test_the_example_of_the_page_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    path = tmp_path / "alerts.toml"
    path.write_text(example)
    assert list(read_settings(path).sinks) == ["log", "audit", "team", "oncall", "retrain"]
