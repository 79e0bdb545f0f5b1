"""Fetches the files of wanted versions from a store, in threads of its own."""

from __future__ import annotations

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.server.files.durable import remove_tree
from penstock.server.processes.priority import lower_priority
from penstock.server.registry.intake_result import Waiting

from .version_download import download_version

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from concurrent.futures import Future
    from pathlib import Path

    from penstock.server.registry.intake_result import Key
    from penstock.server.registry.manifest import Manifest

    from .object_store import ObjectStore

_THREADS: Final = 4
#: Versions whose files may lie here at once; the next one waits until one of them was taken.
_MOST: Final = 8
_MIB: Final = 1 << 20


@dataclass(slots=True)
class _Fetch:
    """Files that are being fetched, or that lie here, and the versions that have asked for them."""

    directory: Path
    total_bytes: int
    keys: set[Key]
    future: Future[None] | None = None
    done_bytes: int = 0

    def note(self, count: int) -> None:
        """Count bytes that have come.

        Raises:
            InterruptedError: Nobody waits for them any more.
        """
        if not self.keys:
            raise InterruptedError("it was given up: no version that is wanted has these files")
        self.done_bytes += count


class Fetcher:
    """A `penstock.server.registry.remote_files.RemoteFiles` over a store.

    A version lies in a directory named by its digest until it was taken. What a server left behind
    that was killed is removed at the start.

    Args:
        store: The store.
        area: A directory for the files; made with mode 0700.

    Attributes:
        on_ready: Called from a thread when a version is here, or cannot be fetched.
    """

    def __init__(self, store: ObjectStore, area: Path) -> None:
        self._store = store
        self._area = area
        remove_tree(area)
        area.mkdir(mode=0o700, parents=True)
        self._fetches: dict[str, _Fetch] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_THREADS, "penstock-fetch", lower_priority)
        self.on_ready: Callable[[], object] = lambda: None

    def obtain(self, key: Key, manifest: Manifest) -> Path:
        """See `RemoteFiles.obtain`. An error is raised once; the next call fetches again."""
        with self._lock:
            fetch = self._fetches.get(manifest.digest)
            begun = fetch is None
            if fetch is None:
                if len(self._fetches) >= _MOST:
                    raise Waiting("waits until other versions were fetched from the store")
                fetch = self._begin(key, manifest)
            fetch.keys.add(key)
            future = fetch.future
            assert future is not None
            here = future.done() and not begun  # it tells `on_ready` even when it was that quick
            if here and future.exception() is not None:
                del self._fetches[manifest.digest]
                remove_tree(fetch.directory)
        if here:
            future.result()
            return fetch.directory
        done, total = (f"{count / _MIB:.1f}" for count in (fetch.done_bytes, fetch.total_bytes))
        raise Waiting(f"is fetched from {self._store.url}: {done} of {total} MiB are here")

    def release(self, manifest: Manifest) -> None:
        """See `RemoteFiles.release`."""
        with self._lock:
            fetch = self._fetches.get(manifest.digest)
            if fetch is None or fetch.future is None or not fetch.future.done():
                return
            del self._fetches[manifest.digest]
        remove_tree(fetch.directory)

    def keep(self, keys: Collection[Key]) -> None:
        """See `RemoteFiles.keep`. What is being fetched ends with its next piece."""
        ended = []
        with self._lock:
            for digest, fetch in list(self._fetches.items()):
                fetch.keys.intersection_update(keys)
                if not fetch.keys and fetch.future is not None and fetch.future.done():
                    ended.append(self._fetches.pop(digest))
        for fetch in ended:
            remove_tree(fetch.directory)

    def close(self) -> None:
        """End all fetches. Does not wait: the process is about to end."""
        with self._lock:
            for fetch in self._fetches.values():
                fetch.keys.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self, key: Key, manifest: Manifest) -> _Fetch:
        directory = self._area / secrets.token_hex(8)
        fetch = _Fetch(directory, manifest.total_bytes, {key})
        self._fetches[manifest.digest] = fetch
        fetch.future = self._pool.submit(self._fetch, key, manifest, fetch)
        fetch.future.add_done_callback(lambda _: self.on_ready())
        return fetch

    def _fetch(self, key: Key, manifest: Manifest, fetch: _Fetch) -> None:
        download_version(self._store, key, manifest, fetch.directory, fetch.note)
