"""The process of an export: labelled predictions into a directory or a store.

It reads the prediction log, which control never does: a large log would keep control from its
commands, and DuckDB and the client of a store are large.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from penstock.batching.contained import text_of
from penstock.monitoring.feedback.export import ExportFailed, LabelledExport, NoLabels
from penstock.monitoring.files.decoding import pack, unpack
from penstock.server.config.store_url import is_url, parse_store_url

from .export_order import DONE, FAILED, ExportOrder
from .run import Data

if TYPE_CHECKING:
    from penstock.server.isolation.link import Link

#: Files of one model that are kept in a directory, the newest.
KEPT: Final = 20
_MOST_CHARACTERS: Final = 1000


def serve(link: Link) -> None:
    """Carry out one order."""
    order = unpack(ExportOrder, link.expect()[1], "an order")
    try:
        link.send(DONE, pack(exported(order)))
    except NoLabels as nothing:
        link.send(DONE, pack(Data(note=str(nothing))))
    except ImportError as error:
        link.send(FAILED, f"{error}; pip install 'penstock-server[store]'".encode())
    except (ExportFailed, OSError, sqlite3.Error) as error:
        link.send(FAILED, str(error)[:_MOST_CHARACTERS].encode(errors="replace"))
    except Exception as error:  # noqa: BLE001  of a library or a network
        link.send(FAILED, text_of(error)[:_MOST_CHARACTERS].encode(errors="replace"))


def exported(order: ExportOrder) -> Data:
    """Write the predictions; the same order again replaces the file.

    Raises:
        NoLabels: There is nothing to write.
        ExportFailed: A library is missing.
        OSError: The disk.
        sqlite3.Error: A file cannot be read.
        StoreError: The store.
    """
    export = LabelledExport(Path(order.state), order.model, order.since)
    if not is_url(order.place):
        home = Path(order.place).absolute() / order.model
        home.mkdir(parents=True, exist_ok=True)
        data = _written(export, home / order.name, order, str(home / order.name))
        _remove_old(home)
        return data
    from penstock.server.store.object_store import open_store  # an extra

    store = open_store(parse_store_url(order.place))
    path = f"{order.model}/{order.name}"
    with tempfile.TemporaryDirectory(prefix="penstock-export-") as folder:
        file = Path(folder) / order.name
        data = _written(export, file, order, f"{store.url}/{path}")
        store.upload(path, file)
    return data


def _written(export: LabelledExport, path: Path, order: ExportOrder, uri: str) -> Data:
    count = export.write_parquet(path) if order.parquet else export.write_csv(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Data(uri, digest, count, "; ".join(export.notes)[:_MOST_CHARACTERS])


def _remove_old(home: Path) -> None:
    """Remove the exports beyond the newest ones."""
    files = [one for one in home.iterdir() if one.suffix in {".csv", ".parquet"}]
    for one in sorted(files, key=lambda file: file.stat().st_mtime)[:-KEPT]:
        one.unlink(missing_ok=True)
