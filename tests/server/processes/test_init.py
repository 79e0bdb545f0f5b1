"""A server starts with the files that ``penstock init`` has written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from penstock.server.cli.main import main

EXAMPLE = Path(__file__).parents[3] / "examples" / "registry" / "breast-cancer" / "1"


@pytest.mark.slow
def test_a_server_starts_with_the_files_of_init(serve, tmp_path):
    home = tmp_path / "new"
    assert main(["init", str(home)]) == 0
    model = home / "models" / "cancer"
    shutil.copytree(EXAMPLE, model / "1")
    (home / "model.toml").rename(model / "model.toml")
    server = serve("--config", home / "penstock.toml", registry=home / "models")
    status = server.status()
    assert status["problems"] == []
    ((version,),) = [one["versions"] for one in status["models"]]
    assert (version["state"], version["default"]) == ("READY", True)
