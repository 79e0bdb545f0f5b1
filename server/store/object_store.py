"""An object store, as far as a registry needs one: read, write on a condition, upload, list.

The client is obstore (https://developmentseed.org/obstore), a part of Apache Arrow's object_store.
It takes credentials from the environment. What fails is asked for again, also here, because the
client gives up a write whose answer was lost.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

from .store_error import StoreError, configuration_error, names_no_bucket, store_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import obstore
    from obstore.store import ClientConfig, RetryConfig

    from penstock.server.config.store_url import StoreUrl

    #: The client's name of one of its stores.
    Client = obstore.store.ObjectStore

T = TypeVar("T")

#: The largest object that is read into memory.
_MAX_READ_BYTES: Final = 32 << 20
_MAX_OBJECTS: Final = 200_000
_PAGE: Final = 1000
_CHUNK_BYTES: Final = 1 << 20
#: Downloads go on where they broke off, so often without a new byte.
_TRIES: Final = 5
#: Attempts at everything else.
_REQUEST_TRIES: Final = 3
#: A request that took longer is not repeated: a store that hangs is to be known soon.
_REPEATED_WITHIN_SECONDS: Final = 5.0
_FIRST_PAUSE_SECONDS: Final = 0.1
#: A request may take long, for it may carry a large model; it may not stand still for long. Stores
#: of clouds get this as configuration: as options of the client it would hide AWS_ALLOW_HTTP.
_CLIENT: Final[ClientConfig] = {"connect_timeout": "5s", "read_timeout": "10s", "timeout": "1d"}
_RETRIES: Final[RetryConfig] = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=20),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=2),
        "base": 2,
    },
}


class ObjectTaken(Exception):
    """The condition of a write does not hold: somebody else was there before."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object as it was read.

    Attributes:
        content: Its bytes.
        e_tag: The store's name of this content; empty if it gives none.
        version: The store's number of this content; empty if it gives none.
    """

    content: bytes
    e_tag: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a list: its path in the registry, and its size in bytes."""

    path: str
    size: int


class ObjectStore:
    """The part of a store that holds one registry. Blocking, and safe to use from threads.

    Args:
        url: Names it in errors.
        client: The store of the client library, which adds the prefix to all paths.
        sleep: Waits so many seconds.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        url: StoreUrl,
        client: Client,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        import obstore  # an extra

        self.url = url
        self._client = client
        self._library = obstore
        self._errors = obstore.exceptions
        self._sleep = sleep
        self._clock = clock

    def _tried(self, request: Callable[[], T]) -> T:
        """The answer to a request, which is repeated while its error may go away."""
        began = self._clock()
        for attempt in range(_REQUEST_TRIES - 1):
            try:
                return request()
            except StoreError as error:
                if error.lasting or self._clock() - began > _REPEATED_WITHIN_SECONDS:
                    raise
            self._sleep(_FIRST_PAUSE_SECONDS * 2.0**attempt)
        return request()

    def read(self, path: str, known: Found | None = None) -> Found | None:
        """A small object; `known` itself if it has not changed, ``None`` if there is none.

        Raises:
            StoreError: It cannot be read now.
        """
        return self._tried(lambda: self._read(path, known))

    def _read(self, path: str, known: Found | None) -> Found | None:
        options: Any = {"if_none_match": known.e_tag} if known is not None and known.e_tag else {}
        try:
            got = self._library.get(self._client, path, options=options)
            if got.meta["size"] > _MAX_READ_BYTES:
                raise StoreError(
                    f"{self.url}/{path} has {got.meta['size']} bytes, expected at most "
                    f"{_MAX_READ_BYTES}",
                    lasting=True,
                )
            content = bytes(got.bytes())
            size = got.meta["size"]
        except self._errors.NotModifiedError:
            return known
        except FileNotFoundError as error:
            if names_no_bucket(error):
                raise store_error(error, self.url, "read", path) from None
            return None
        except self._errors.BaseError as error:
            raise store_error(error, self.url, "read", path) from None
        if len(content) != size:
            raise StoreError(f"{self.url}: {path} broke off after {len(content)} bytes")
        return Found(content, got.meta["e_tag"] or "", got.meta["version"] or "")

    def write(self, path: str, content: bytes, before: Found | None) -> None:
        """Write a small object, if it is still as it was.

        Args:
            path: Path of it in the registry.
            content: Its new bytes.
            before: What it must hold now; ``None`` if it must not be there.

        Raises:
            ObjectTaken: It holds something else. After a lost answer that may be this very
                content: read it again.
            StoreError: It cannot be written now.
        """
        self._tried(lambda: self._write(path, content, before))

    def _write(self, path: str, content: bytes, before: Found | None) -> None:
        mode: Any = "create"
        if before is not None:
            mode = {
                name: value
                for name, value in (("e_tag", before.e_tag), ("version", before.version))
                if value
            }
        try:
            self._library.put(self._client, path, content, mode=mode, use_multipart=False)
        except (self._errors.AlreadyExistsError, self._errors.PreconditionError):
            raise ObjectTaken(path) from None
        except (self._errors.BaseError, FileNotFoundError) as error:
            raise store_error(error, self.url, "write", path) from None

    def upload(self, path: str, file: Path) -> None:
        """Write a file of any size; nobody sees it before it is whole.

        Raises:
            StoreError: It cannot be written now.
        """
        self._tried(lambda: self._upload(path, file))

    def _upload(self, path: str, file: Path) -> None:
        try:
            self._library.put(self._client, path, file)
        except (self._errors.BaseError, FileNotFoundError) as error:
            raise store_error(error, self.url, "write", path) from None

    def listing(self, prefix: str = "") -> list[Listed]:
        """All objects in a folder and below it.

        Raises:
            StoreError: They cannot be listed now, or are too many.
        """
        return self._tried(lambda: self._listing(prefix))

    def _listing(self, prefix: str) -> list[Listed]:
        found: list[Listed] = []
        try:
            for page in self._library.list(self._client, prefix, chunk_size=_PAGE):
                found += [Listed(one["path"], one["size"]) for one in page]
                if len(found) > _MAX_OBJECTS:
                    raise StoreError(
                        f"{self.url} holds more than {_MAX_OBJECTS} objects; expected the prefix "
                        "of a registry",
                        lasting=True,
                    )
        except (self._errors.BaseError, FileNotFoundError) as error:
            raise store_error(error, self.url, "list") from None
        return found

    def download(
        self,
        path: str,
        target: BinaryIO,
        size: int,
        progress: Callable[[int], object] = lambda _: None,
    ) -> str:
        """Copy an object into an open file; returns the SHA-256 of what came, in hex.

        It goes on where it broke off, and never writes more than one piece beyond `size`.

        Args:
            path: Path of it in the registry.
            target: Takes the content.
            size: How many bytes are expected.
            progress: Called with the length of each piece; what it raises ends the download.

        Raises:
            StoreError: It does not come whole.
        """
        digest, count, tries = hashlib.sha256(), 0, 0
        while True:
            before = count
            try:
                for chunk in self._pieces(path, count, size):
                    target.write(chunk)
                    digest.update(chunk)
                    count += len(chunk)
                    progress(len(chunk))
                    if count > size:
                        break
                error: Exception = StoreError(f"{path} broke off")
            except FileNotFoundError as missing:
                if names_no_bucket(missing):
                    raise store_error(missing, self.url, "read", path) from None
                raise StoreError(f"{self.url}: {path} is not there") from None
            except self._errors.BaseError as failed:
                error = failed
            if count >= size:
                return digest.hexdigest()
            tries = tries + 1 if count == before else 1
            if tries == _TRIES:
                raise store_error(error, self.url, "read", path) from None
            self._sleep(_FIRST_PAUSE_SECONDS * 2.0 ** (tries - 1))

    def _pieces(self, path: str, offset: int, size: int) -> Any:
        options: Any = {"range": {"offset": offset}} if offset else {}
        got = self._library.get(self._client, path, options=options)
        if got.meta["size"] < size:
            raise StoreError(f"{self.url}: {path} has {got.meta['size']} of {size} bytes")
        return got.stream(min_chunk_size=_CHUNK_BYTES)


def open_store(url: StoreUrl) -> ObjectStore:
    """The store of a URL; nothing is asked of it yet.

    Raises:
        StoreError: What the environment says of the store cannot be used.
    """
    from obstore.exceptions import BaseError
    from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store

    prefix = url.prefix or None
    common: Any = {"config": _CLIENT, "retry_config": _RETRIES}
    client: Client
    try:
        match url.scheme:
            case "s3":
                client = S3Store(url.bucket, prefix=prefix, **common)
            case "gs":
                client = GCSStore(url.bucket, prefix=prefix, **common)
            case "az":
                client = AzureStore(url.bucket, prefix=prefix, **common)
            case _:
                plain: ClientConfig = {**_CLIENT, "allow_http": url.scheme == "http"}
                client = HTTPStore(str(url), client_options=plain, retry_config=_RETRIES)
    except (BaseError, ValueError) as error:
        raise configuration_error(error, url) from None
    return ObjectStore(url, client)
