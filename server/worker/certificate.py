"""The certificate of the prediction port: followed when its files change, kept when they are bad.

A pair that was loaded once is copied to the run directory, which is in memory and private. A worker
that starts anew while somebody edits the files, or after they were damaged, takes that copy.
"""

from __future__ import annotations

import logging
import ssl
from contextlib import ExitStack
from typing import TYPE_CHECKING

from penstock.monitoring.files.atomic_file import drafted
from penstock.monitoring.files.stamp import stamp_of

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger("penstock.tls")


class Certificate:
    """Serves the present certificate to each new connection.

    Args:
        certificate: Chain in PEM.
        key: Private key in PEM; ``None`` if it is in the certificate's file.
        place: Directory for the copies of the last good pair.

    Attributes:
        context: Context of the last good pair.
        pair: Chain and key of that pair, in PEM.
    """

    context: ssl.SSLContext
    pair: tuple[bytes, bytes]

    def __init__(self, certificate: Path, key: Path | None, place: Path) -> None:
        self._files = [certificate] if key is None else [certificate, key]
        self._good = [place / f"tls.{n}.pem" for n in range(len(self._files))]
        self._stamp = [stamp_of(file) for file in self._files]

    def open(self) -> None:
        """Load the pair; if it cannot be used, the last one that could.

        Raises:
            OSError: Neither can be used.
        """
        try:
            self.context = self._load()
        except OSError as error:  # ssl.SSLError is one
            try:
                self.context = _context(self._good)
                self.pair = _pair(self._good)
            except OSError:
                raise error from None
            LOG.error("the certificate cannot be used: %s; the last good one serves on", error)  # noqa: TRY400

    def serve(self, listener: ssl.SSLContext) -> None:
        """Have new connections of this context get the present certificate."""

        def choose(connection: ssl.SSLObject, _name: str | None, _: ssl.SSLContext) -> None:
            connection.context = self.context

        listener.sni_callback = choose  # called without a name, too

    def refresh(self) -> None:
        """Load the files again if they have changed."""
        stamp = [stamp_of(file) for file in self._files]
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.context = self._load()
        except OSError as error:
            LOG.error("the new certificate cannot be used: %s; the one before serves on", error)  # noqa: TRY400
        else:
            LOG.info("new connections get the new certificate")

    def _load(self) -> ssl.SSLContext:
        """What was read is what is loaded and kept, also if the files change meanwhile."""
        with ExitStack() as stack:
            drafts = [stack.enter_context(drafted(good, synced=False)) for good in self._good]
            for file, draft in zip(self._files, drafts, strict=True):
                draft.touch(mode=0o600)
                draft.write_bytes(file.read_bytes())
            context = _context(drafts)
            self.pair = _pair(drafts)
            return context


def _pair(files: list[Path]) -> tuple[bytes, bytes]:
    return files[0].read_bytes(), files[-1].read_bytes()


def _context(files: list[Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[0], files[1] if len(files) > 1 else None)
    return context
