"""The installed distribution: its name on the package index, its version, and foreign ones.

The distribution is called ``penstock-server``: the name ``penstock`` belongs to an unrelated
project on the package index. The import package and the command are called ``penstock``.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DISTRIBUTION: Final = "penstock-server"
#: The version of a checkout that was not installed under the name above.
UNKNOWN_VERSION: Final = "unknown"
#: The name on the package index that belongs to somebody else.
_FOREIGN: Final = "penstock"
#: Stands in the entry points of our own distribution, whatever its name was when it was installed.
_OURS: Final = "penstock.server.cli.main:main"


@cache
def server_version() -> str:
    """The version of the installed distribution, or `UNKNOWN_VERSION`."""
    from importlib.metadata import PackageNotFoundError, version  # slow and large

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return UNKNOWN_VERSION


def install_command(extra: str) -> str:
    """The command that installs an extra of the distribution."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def python_command(*arguments: str) -> list[str]:
    """The command of another process of the server: this interpreter, with the same packages.

    ``-P`` keeps the working directory off the search path: a ``penstock`` or a ``json.py`` in the
    directory where somebody starts the server is not ours to import.
    """
    return [sys.executable, "-P", *arguments]


def foreign_package(
    search_path: Iterable[str] | None = None, package: str | None = None
) -> str | None:
    """One line on somebody else's ``penstock`` that is installed here; ``None`` if there is none.

    Both projects write into one import package: the later installation overwrites files of the
    earlier one.

    Args:
        search_path: Directories in which Python looks for packages; by default ``sys.path``.
        package: The file that ``import penstock`` runs; ours is a namespace and has no such file.
    """
    if package is None:
        package = getattr(sys.modules.get(_FOREIGN), "__file__", None)
    for metadata in _foreign_metadata(sys.path if search_path is None else search_path):
        return (
            f"somebody else's distribution '{_FOREIGN}' is installed beside '{DISTRIBUTION}' "
            f"({metadata}); both write into the package 'penstock'. Run: pip uninstall {_FOREIGN}; "
            f"pip install --force-reinstall --no-deps {DISTRIBUTION}"
        )
    if package is not None:
        return (
            f"'import penstock' runs somebody else's {package}, which may hide files of "
            f"'{DISTRIBUTION}'. Remove it, or take its directory out of PYTHONPATH"
        )
    return None


def _foreign_metadata(search_path: Iterable[str]) -> Iterator[Path]:
    """Metadata directories of that name which are not our own under its former name."""
    for entry in search_path:
        for kind in ("dist-info", "egg-info"):
            for metadata in sorted(Path(entry or ".").glob(f"{_FOREIGN}-[0-9]*.{kind}")):
                try:
                    ours = _OURS in (metadata / "entry_points.txt").read_text()
                except (OSError, UnicodeDecodeError):
                    ours = False
                if not ours:
                    yield metadata
