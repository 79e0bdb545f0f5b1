"""Runtimes that are installed for a while, as plug-ins are: by their entry points."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock.runtimes.discovery import ENTRY_POINT_GROUP, only_built_in, runtimes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def write_site(site: Path, name: str, target: str) -> Path:
    """Make the directory one with a distribution whose entry point is that runtime.

    Args:
        site: An empty directory.
        name: Name of the runtime.
        target: Its class, as ``module:name``.

    Returns:
        The directory.
    """
    info = site / f"penstock_{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: penstock-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\n{name} = {target}\n")
    return site


@contextmanager
def installed(site: Path) -> Iterator[None]:
    """With the distributions of this directory installed; the tests after it do not see them."""
    sys.path.append(str(site))
    _forget()
    try:
        yield
    finally:
        sys.path.remove(str(site))
        _forget()


def _forget() -> None:
    runtimes.cache_clear()
    only_built_in.cache_clear()
