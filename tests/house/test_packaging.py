"""The wheel holds every room: packages are listed by hand, so they are compared with the disk."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement

from penstock.monitoring.distribution import DISTRIBUTION

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGE = "penstock"
#: Both ways to name the unrelated project to an installer.
WRONG_NAME = re.compile(r"\binst[a]ll(?: -\S+)* .?penstock\b(?!-server)|\bp[e]nstock\[\w")
LISTED = '[tool.setuptools]\npackages = ["penstock.server"]\n'


def settings(tree: Any) -> dict[str, Any]:
    return tomllib.loads((tree.root / "pyproject.toml").read_text())


def packages_on_disk(tree: Any) -> set[str]:
    return {source.package for source in tree.sources()}


def unlisted(tree: Any) -> set[str]:
    """Packages that are listed or on the disk, but not both."""
    return packages_on_disk(tree) ^ set(settings(tree)["tool"]["setuptools"]["packages"])


def folders_lacking(tree: Any, name: str) -> list[str]:
    """Packages without this file."""
    folders = {source.path.parent for source in tree.sources()}
    return sorted(str(path) for path in folders if not (tree.root / path / name).is_file())


def test_every_package_is_listed(project: Any) -> None:
    assert unlisted(project) == set()


def test_the_name_on_the_index_is_our_own(project: Any) -> None:
    """`penstock` on the index is an unrelated project: nothing may tell users to install it."""
    assert settings(project)["project"]["name"] == DISTRIBUTION
    assert settings(project)["project"]["scripts"] == {PACKAGE: "penstock.server.cli.main:main"}
    assert [str(path) for path, text in project.texts() if WRONG_NAME.search(text)] == []


@pytest.mark.parametrize(
    "words", [["pip", "install", "penstock"], ["pip", "install", "-U", "penstock"]]
)
def test_a_command_that_installs_the_other_project_is_found(words: list[str]) -> None:
    text = " ".join(words)
    assert WRONG_NAME.search(text)
    assert not WRONG_NAME.search(text.replace("penstock", DISTRIBUTION))


def test_every_package_is_typed_and_regular(project: Any) -> None:
    assert folders_lacking(project, "py.typed") == []
    assert folders_lacking(project, "__init__.py") == []


def test_type_checkers_find_the_package(project: Any) -> None:
    assert (project.root / ".typing" / PACKAGE).samefile(project.root)


def test_serving_needs_no_test_or_training_tools(project: Any) -> None:
    """A fresh machine's first start installs the core only, so the core stays small."""
    core = {Requirement(line).name for line in settings(project)["project"]["dependencies"]}
    extras = settings(project)["project"]["optional-dependencies"]
    others = {Requirement(line).name for lines in extras.values() for line in lines}
    assert core.isdisjoint(others)


def test_a_forgotten_package_is_found(plant: Callable[..., Any]) -> None:
    tree = plant({"pyproject.toml": LISTED, "server/a.py": "", "server/http/a.py": ""})
    assert unlisted(tree) == {"penstock.server.http"}


def test_a_package_that_is_gone_is_found(plant: Callable[..., Any]) -> None:
    assert unlisted(plant({"pyproject.toml": LISTED})) == {"penstock.server"}


def test_a_missing_marker_is_found(plant: Callable[..., Any]) -> None:
    tree = plant({"server/a.py": "", "server/py.typed": "", "batching/a.py": ""})
    assert folders_lacking(tree, "py.typed") == [str(Path("batching"))]
