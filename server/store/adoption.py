"""Takes over a version that was uploaded by hand: gives it its manifest, and names it in the index.

Nobody can see in a store whether an upload is complete, so a person says so, and the version must
load. From then on it is as if it had been pushed: its files are those that were checked.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from penstock.server.errors import Conflict, InvalidRequest
from penstock.server.files.safe_files import check_relative
from penstock.server.registry.manifest import MANIFEST_FILE

from .layout import claim_path, version_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.server.registry.publish import Details, Published

    from .object_store import Listed, ObjectStore
    from .publish import Publisher

    #: Checks the model of a directory, and publishes it in a registry of this machine.
    Send = Callable[[Path, Details], Published]

_MOST_FILES: Final = 10_000


def adopt(
    store: ObjectStore,
    publisher: Publisher,
    registry: Path,
    model: str,
    send: Send,
    details: Details,
) -> Published:
    """Take over the files of a version that has no manifest.

    Args:
        store: The store.
        publisher: Of this store.
        registry: The registry that `send` publishes in, with the numbers of the model.
        model: Name of the model.
        send: Checks the version.
        details: What is said of it, with its number.

    Raises:
        Conflict: It has a manifest, or a push has taken its number.
        InvalidRequest: There is nothing, or files have names that no version has.
        ModelLoadError: It must not be served.
        StoreError: The store fails.
        OSError: The disk.
    """
    number = details.version
    assert number is not None
    files = _uploaded(store, model, number)
    (registry / model / str(number)).rmdir()
    with TemporaryDirectory(prefix="penstock-adopt-") as name:
        for path, one in files.items():
            target = Path(name, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                store.download(one.path, file, one.size)
        published = send(Path(name), details)
    foreign = sorted({one.path for one in published.manifest.files} - files.keys())
    if foreign:
        shutil.rmtree(published.directory)
        raise InvalidRequest(
            f"{store.url}/{version_path(model, number)} has no {', '.join(foreign)}: a version is "
            "taken over as it is; upload its files under the names that they have in a version, "
            "and give golden requests as examples.json among them"
        )
    return replace(published, manifest=publisher.adopt(published.manifest))


def _uploaded(store: ObjectStore, model: str, number: int) -> dict[str, Listed]:
    """The objects of a version, by their paths in it."""
    place = version_path(model, number)
    listed = store.listing(place)
    files = {one.path.removeprefix(f"{place}/"): one for one in listed}
    if not files:
        raise InvalidRequest(f"{store.url}/{place}: there is nothing")
    if MANIFEST_FILE in files:
        raise Conflict(
            f"{store.url}/{place} has a {MANIFEST_FILE}; remove penstock-index.json if it is not "
            "seen: the next push makes a new one with everything"
        )
    if store.read(claim_path(model, number)) is not None:
        raise Conflict(
            f"{store.url}/{place} is of a push that goes on or was killed; push the model again"
        )
    if len(files) > _MOST_FILES:
        raise InvalidRequest(f"{store.url}/{place} has {len(files)} files, at most {_MOST_FILES}")
    for path in files:
        check_relative(path)
    return files
