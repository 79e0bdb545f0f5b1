"""Reads the index of a store; where there is none, makes one of the list of all objects.

Proof that a version that was seen stays: the list counts only if there is still no index after it.
A push makes sure that there is an index before it writes a manifest, so the list shows no push that
goes on: it shows what other tools have put there, and the first index has all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .index import INDEX_FILE, Index, parse_index
from .layout import arrange
from .store_error import StoreError

if TYPE_CHECKING:
    from .object_store import Found, ObjectStore


def read_index(
    store: ObjectStore, known: tuple[Index, Found | None] | None = None
) -> tuple[Index, Found | None]:
    """The index, and the object that holds it; without one, what a list of all objects shows.

    Args:
        store: The store.
        known: From the last call; given back where the object is the same.

    Raises:
        ContentError: The object is no index.
        StoreError: The store does not answer, or cannot be listed and has no index.
    """
    found = store.read(INDEX_FILE, None if known is None else known[1])
    if found is None:
        if store.url.read_only:
            raise StoreError(
                f"{store.url}: there is no {INDEX_FILE}, which a web server needs: it cannot list "
                "a registry; expected one that penstock push has published to",
                lasting=True,
            )
        listed = arrange(store.listing())
        found = store.read(INDEX_FILE)
        if found is None:
            return listed, None
    if known is not None and found is known[1]:
        return known
    return parse_index(found.content, f"{store.url}/{INDEX_FILE}"), found
