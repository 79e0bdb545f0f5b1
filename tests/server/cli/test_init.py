"""``penstock init``: what it writes is read by the readers of the real files."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import fields
from itertools import pairwise

import pytest

from penstock.server.cli.main import main
from penstock.server.config import (
    batching_options,
    drift_options,
    feedback_options,
    gates_options,
    model_config,
    process_options,
    quality_options,
)
from penstock.server.config.config import OPTIONS, ServerConfig, load_config
from penstock.server.config.model_config import ModelConfig, decode_model_config
from penstock.server.config.model_log import LogOptions
from penstock.server.rollout import options as rollout_options
from penstock.server.rollout.tolerance import Tolerance

SETTING = re.compile(r"^#([a-z0-9_]+) = (.*)$", re.MULTILINE)
UNSET = "  # not set by default"


@pytest.fixture
def written(tmp_path, capsys):
    """The texts of penstock.toml and model.toml."""
    assert main(["init", str(tmp_path / "new")]) == 0
    capsys.readouterr()
    return [(tmp_path / "new" / name).read_text() for name in ("penstock.toml", "model.toml")]


def uncommented(text):
    """Every setting that has a default, set."""
    return SETTING.sub(lambda found: "" if found[2] == UNSET else found[0][1:], text)


def test_as_written_the_files_change_nothing(written, tmp_path):
    server, model = written
    path = tmp_path / "penstock.toml"
    path.write_text(server)
    config = load_config({"registry": ""}, {}, path)
    assert config == ServerConfig()
    assert decode_model_config(model.encode(), "model.toml") == ModelConfig()


def test_the_defaults_that_they_name_are_the_defaults(written, tmp_path):
    server, model = written
    path = tmp_path / "penstock.toml"
    path.write_text(uncommented(server))
    assert load_config({"registry": ""}, {}, path) == ServerConfig()
    set_all = decode_model_config(uncommented(model).encode(), "model.toml")
    settings = {one: set_all.settings[one] for one in ("graph_optimization_level", "providers")}
    assert settings == {"graph_optimization_level": "all", "providers": ["CPUExecutionProvider"]}
    assert {one.name for one in fields(ModelConfig) if one.name != "settings"} == {
        one.name
        for one in fields(ModelConfig)
        if getattr(set_all, one.name) == getattr(ModelConfig(), one.name)
    }


def test_every_option_is_named_with_its_meaning(written):
    server, model = written
    assert [found[1] for found in SETTING.finditer(server)] == [
        one.name for one in OPTIONS if one.name != "registry"
    ]
    tables = {
        "batching": batching_options._Table.__struct_fields__,
        "process": process_options._Table.__struct_fields__,
        "rollout": {*rollout_options._Table.__struct_fields__} - {"tolerance"},
        "rollout.tolerance": [one.name for one in fields(Tolerance)],
        "monitoring": drift_options._Table.__struct_fields__,
        "feedback": feedback_options._Table.__struct_fields__,
        "quality": quality_options._Table.__struct_fields__,
        "log": [one.name for one in fields(LogOptions)],
        "gates": {*gates_options._Table.__struct_fields__} - {"evaluation", "budgets"},
        "gates.evaluation": gates_options._Evaluation.__struct_fields__,
        "gates.budgets": gates_options._Budgets.__struct_fields__,
    }
    own = {*model_config._Table.__struct_fields__} - {*tables, "runtime"}
    parts = re.split(r"^\[([a-z.]+)\]$", model, flags=re.MULTILINE)
    found = {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}
    for name, keys in {"": own, **tables}.items():
        assert {one[1] for one in SETTING.finditer(found[name])} == set(keys), name
    for text in written:
        lines = text.splitlines()
        for before, line in pairwise(lines):
            if SETTING.match(line):
                assert before.startswith("# "), line


def test_files_that_are_there_are_kept(tmp_path, capsys):
    (tmp_path / "model.toml").write_text("threads = 2\n")
    assert main(["init", str(tmp_path)]) == 1
    assert f"{tmp_path / 'model.toml'} would be replaced; --force" in capsys.readouterr().err
    assert not (tmp_path / "penstock.toml").exists()
    assert main(["init", str(tmp_path), "--force", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["files"] == [str(tmp_path / "penstock.toml"), str(tmp_path / "model.toml")]
    assert tomllib.loads((tmp_path / "penstock.toml").read_text()) == {"registry": "models"}


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["init", str(tmp_path / "file")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be written" in line
