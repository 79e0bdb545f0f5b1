"""The distribution: its own name on the index, and a word on somebody else's of the old name."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import pytest

from penstock.monitoring import distribution
from penstock.monitoring.distribution import (
    DISTRIBUTION,
    UNKNOWN_VERSION,
    foreign_package,
    install_command,
    python_command,
    server_version,
)

if TYPE_CHECKING:
    from pathlib import Path

OURS = "[console_scripts]\npenstock = penstock.server.cli.main:main\n"
THEIRS = "[console_scripts]\npenstock = penstock.deploy:run\n"


def installed(folder: Path, name: str, entry_points: str | None) -> Path:
    metadata = folder / f"{name}-1.2.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    if entry_points is not None:
        (metadata / "entry_points.txt").write_text(entry_points)
    return metadata


def test_the_version_is_that_of_the_distribution_or_said_to_be_unknown() -> None:
    try:
        expected = version(DISTRIBUTION)
    except PackageNotFoundError:
        expected = UNKNOWN_VERSION
    assert server_version() == expected


def test_a_checkout_without_metadata_has_an_unknown_version_and_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distribution, "DISTRIBUTION", "penstock-that-nobody-installed")
    assert server_version.__wrapped__() == UNKNOWN_VERSION


def test_the_command_to_install_an_extra_names_our_distribution() -> None:
    assert install_command("analytics") == "pip install 'penstock-server[analytics]'"


@pytest.mark.parametrize("entry_points", [None, THEIRS])
def test_a_foreign_distribution_is_told_with_what_to_do(
    tmp_path: Path, entry_points: str | None
) -> None:
    installed(tmp_path, "penstock-server".replace("-", "_"), OURS)
    metadata = installed(tmp_path, "penstock", entry_points)
    told = foreign_package([str(tmp_path)])
    assert told is not None
    assert str(metadata) in told
    assert "pip uninstall penstock" in told
    assert "\n" not in told


@pytest.mark.parametrize("name", ["penstock_server", "penstock"])
def test_our_own_distribution_is_not_foreign_not_even_under_its_former_name(
    tmp_path: Path, name: str
) -> None:
    installed(tmp_path, name, OURS)
    assert foreign_package([str(tmp_path)]) is None


def test_a_foreign_import_package_is_told_with_its_file(tmp_path: Path) -> None:
    told = foreign_package([str(tmp_path)], "/elsewhere/penstock/__init__.py")
    assert told is not None
    assert "/elsewhere/penstock/__init__.py" in told


def test_a_start_beside_a_foreign_package_says_so(tmp_path: Path) -> None:
    metadata = installed(tmp_path, "penstock", THEIRS)
    done = subprocess.run(
        [sys.executable, "-m", "penstock.server.cli.main", "serve", str(tmp_path / "absent")],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    first = done.stderr.splitlines()[0]
    assert first.startswith("penstock: somebody else's distribution 'penstock' is installed")
    assert str(metadata) in first


def test_files_of_the_working_directory_do_not_replace_the_servers(tmp_path: Path) -> None:
    (tmp_path / "penstock").mkdir()
    for name in ("penstock/__init__.py", "numpy.py", "uvicorn.py"):
        (tmp_path / name).write_text("raise SystemExit('somebody else was imported')\n")
    done = subprocess.run(
        python_command("-c", "import penstock.server.worker.worker"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
