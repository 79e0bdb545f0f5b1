"""Where everything of a registry lies in an object store, and what a list of objects shows. Pure.

PREFIX/penstock-index.json                 all versions, see `index`
      /<model>/model.toml                  optional
      /<model>/<version>/manifest.json     written last; it lists the other files
      /<model>/.claims/<version>           who took this number first, see `publish`
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from penstock.server.registry.manifest import MANIFEST_FILE
from penstock.server.registry.repository import MODEL_NAME, VERSION_NAME

from .index import Index, IndexEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .object_store import Listed

CLAIMS: Final = ".claims"


def version_path(model: str, version: int, file: str = "") -> str:
    """The path of a file of a version; of its folder without one."""
    return f"{model}/{version}/{file}".rstrip("/")


def claim_path(model: str, version: int) -> str:
    """The path of the claim on a number."""
    return f"{model}/{CLAIMS}/{version}"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a list of objects shows of a registry.

    Attributes:
        index: Its versions, as an index would name them.
        files: The objects of versions without a manifest.
    """

    index: Index = field(default_factory=Index)
    files: Mapping[tuple[str, int], tuple[Listed, ...]] = field(default_factory=dict)


def arrange(objects: Iterable[Listed]) -> Contents:
    """Find the versions among all objects of a registry.

    A version whose number is claimed and that has no manifest is a push that goes on or was
    killed: it is left out.
    """
    found: dict[tuple[str, int], list[Listed]] = {}
    claimed: set[tuple[str, int]] = set()
    for one in objects:
        model, _, rest = one.path.partition("/")
        folder, _, name = rest.partition("/")
        if not MODEL_NAME.fullmatch(model) or not name:
            continue
        if folder == CLAIMS and VERSION_NAME.fullmatch(name):
            claimed.add((model, int(name)))
        elif VERSION_NAME.fullmatch(folder):
            found.setdefault((model, int(folder)), []).append(one)
    models: dict[str, dict[int, IndexEntry]] = {}
    files = {}
    for key, listed in sorted(found.items()):
        complete = any(one.path == version_path(*key, MANIFEST_FILE) for one in listed)
        if complete or key not in claimed:
            models.setdefault(key[0], {})[key[1]] = IndexEntry()
        if not complete and key not in claimed:
            files[key] = tuple(listed)
    return Contents(Index(0, models), files)
