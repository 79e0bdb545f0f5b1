"""A look at the registry of an object store, for ``penstock doctor``."""

from __future__ import annotations

from importlib.util import find_spec


def store_look(store: str) -> tuple[int, str]:
    """The number of models in a store, and why it cannot be read; empty if it can.

    Args:
        store: Its URL. Without the extra ``store``, which another check names, nothing is known.
    """
    if find_spec("obstore") is None:
        return 0, ""
    from penstock.monitoring.files.decoding import ContentError
    from penstock.server.config.store_url import parse_store_url
    from penstock.server.store.index_reader import read_index
    from penstock.server.store.object_store import open_store

    try:
        index, _ = read_index(open_store(parse_store_url(store)))
    except (ContentError, OSError) as error:
        return 0, str(error)
    return len(index.models), ""
