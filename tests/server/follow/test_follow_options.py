"""``[follow.mlflow]``: one table or several, each with a name of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock.server.config.config import ServerConfig, load_config
from penstock.server.files.config_error import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path, text: str) -> ServerConfig:
    file = path / "penstock.toml"
    file.write_text(text)
    return load_config({"registry": str(path)}, {}, file)


def test_one_table_and_several_are_read_and_handed_on(tmp_path: Path) -> None:
    one = read(tmp_path, '[follow.mlflow]\nuri = "http://m"\nmodel = "churn"\n')
    (alias,) = one.follow.aliases
    assert (alias.name, alias.alias, alias.poll_seconds) == ("churn", "champion", 10.0)
    two = read(
        tmp_path,
        '[[follow.mlflow]]\nuri = "http://m"\nmodel = "churn"\n'
        '[[follow.mlflow]]\nuri = "http://m"\nmodel = "churn"\nas = "other"\nalias = "next"\n'
        'webhook_secret_file = "key"\n',
    )
    assert [each.name for each in two.follow.aliases] == ["churn", "other"]
    assert ServerConfig.from_json(two.to_json()) == two


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[follow.mlflow]\nmodel = "m"\n', "uri"),
        ('[follow.mlflow]\nuri = "http://m"\nmodel = "m"\nalais = "x"\n', "alais"),
        ('[follow.mlflow]\nuri = "http://m"\nmodel = "m"\nas = "a/b"\n', "as"),
        ('[follow.mlflow]\nuri = "http://ann:pw@m"\nmodel = "m"\n', "MLFLOW_TRACKING_USERNAME"),
        (
            '[[follow.mlflow]]\nuri = "http://m"\nmodel = "m"\n' * 2,
            "two are served as 'm'",
        ),
    ],
)
def test_a_mistake_is_told_by_its_place_and_no_password_is_shown(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    assert told in str(refused.value)
    assert "pw" not in str(refused.value)


def test_a_registry_in_a_store_may_follow_unless_nothing_can_be_published_there(
    tmp_path: Path,
) -> None:
    file = tmp_path / "penstock.toml"
    text = '[follow.mlflow]\nuri = "http://m"\nmodel = "m"\n'
    environ = {"HOME": str(tmp_path)}
    file.write_text(f'store = "s3://bucket/models"\n{text}')
    assert load_config({}, environ, file).follow.aliases[0].name == "m"
    file.write_text(f'store = "https://host/models"\n{text}')
    with pytest.raises(ConfigError, match="https://host/models is read-only"):
        load_config({}, environ, file)
