"""Where everything of a registry lies in an object store, and what a list of objects shows. Pure.

PREFIX/penstock-index.json                 all versions, see `index`
      /<model>/model.toml                  optional
      /<model>/<version>/manifest.json     written last; it lists the other files
      /<model>/.claims/<version>           who took this number first, see `publish`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.server.registry.manifest import MANIFEST_FILE
from penstock.server.registry.repository import MODEL_NAME, VERSION_NAME

from .index import Index, IndexEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .object_store import Listed

CLAIMS: Final = ".claims"


def version_path(model: str, version: int, file: str = "") -> str:
    """The path of a file of a version; of its folder without one."""
    return f"{model}/{version}/{file}".rstrip("/")


def claim_path(model: str, version: int) -> str:
    """The path of the claim on a number."""
    return f"{model}/{CLAIMS}/{version}"


def arrange(objects: Iterable[Listed]) -> Index:
    """The versions among all objects of a registry, as an index would name them.

    A version whose number is claimed and that has no manifest is a push that goes on or was
    killed: it is left out. A version without either is named, so that somebody is told of it.
    """
    found: dict[tuple[str, int], bool] = {}
    claimed: set[tuple[str, int]] = set()
    for one in objects:
        model, _, rest = one.path.partition("/")
        folder, _, name = rest.partition("/")
        if not MODEL_NAME.fullmatch(model) or not name:
            continue
        if folder == CLAIMS and VERSION_NAME.fullmatch(name):
            claimed.add((model, int(name)))
        elif VERSION_NAME.fullmatch(folder):
            key = model, int(folder)
            found[key] = found.get(key, False) or name == MANIFEST_FILE
    models: dict[str, dict[int, IndexEntry]] = {}
    for (model, version), complete in sorted(found.items()):
        if complete or (model, version) not in claimed:
            models.setdefault(model, {})[version] = IndexEntry()
    return Index(0, models)
