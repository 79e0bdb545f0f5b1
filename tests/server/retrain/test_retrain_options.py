"""``[[retrain]]``: what a table may say, and that no secret is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock.server.config.config import ServerConfig, load_config
from penstock.server.files.config_error import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

WEBHOOK = '[[retrain]]\nmodel = "m"\ntarget = "webhook"\nurl = "https://ci/x"\n'
GITHUB = '[[retrain]]\nmodel = "m"\ntarget = "github"\nrepository = "a/b"\nsecret_env = "T"\n'


def read(path: Path, text: str) -> ServerConfig:
    file = path / "penstock.toml"
    file.write_text(text)
    return load_config({"registry": str(path)}, {}, file)


def test_a_table_is_read_and_handed_on(tmp_path: Path) -> None:
    text = WEBHOOK + (
        'on = ["drift", "age", "schedule"]\nmax_age = "30d"\nevery = "7d"\ndelay = "1h"\n'
        'secret_file = "key"\nexport = "s3://bucket/a"\nparameters = { days = 30 }\n'
    )
    config = read(tmp_path, text)
    (one,) = config.retrain
    assert one.triggers == ("drift", "age", "schedule")
    assert (one.max_age, one.every, one.delay, one.period) == (2592000, 604800, 3600, 86400)
    assert ServerConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (WEBHOOK * 2, "two tables are of model 'm'"),
        (WEBHOOK + 'on = ["fog"]\n', "on[0]"),
        (WEBHOOK + 'on = ["age"]\n', "max_age and on = ['age'] need each other"),
        (WEBHOOK + 'every = "7d"\n', "every and on = ['schedule'] need each other"),
        (WEBHOOK + 'on = ["schedule"]\nevery = "1h"\n', "every is shorter than period"),
        (WEBHOOK + 'dag = "x"\n', "dag is no key of target webhook"),
        (WEBHOOK + 'secret_file = "a"\nsecret_env = "B"\n', "not both"),
        (WEBHOOK + 'secret = "hunter2"\n', "secret"),
        (WEBHOOK + 'export = "https://web/x"\n', "nothing can be written to https://web/x"),
        (WEBHOOK + 'export = "ftp://web/x"\n', "expected s3://"),
        (WEBHOOK.replace("https://ci", "https://ann:hunter2@ci"), "secret_file or secret_env"),
        (WEBHOOK.replace("/x", "/x?token=hunter2"), "secret_file or secret_env"),
        (WEBHOOK.replace("https", "ftp"), "http:// or https://"),
        (WEBHOOK.replace('url = "https://ci/x"', ""), "url is missing, target webhook needs it"),
        (GITHUB.replace("a/b", "ab"), "expected owner/name"),
        (GITHUB + 'workflow = "x.yml"\n', "workflow and ref need each other"),
        (GITHUB.replace('secret_env = "T"', ""), "needs secret_file or secret_env"),
        (
            '[[retrain]]\nmodel = "m"\ntarget = "airflow"\nurl = "http://a"\n',
            "needs dag or asset, one of them",
        ),
        (
            '[[retrain]]\nmodel = "m"\ntarget = "flyte"\nurl = "http://a"\nproject = "p"\n',
            "domain is missing",
        ),
        ('[[retrain]]\nmodel = "m"\ntarget = "command"\n', "command is missing"),
    ],
)
def test_a_mistake_is_told_by_its_place_and_no_secret_is_shown(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value)
