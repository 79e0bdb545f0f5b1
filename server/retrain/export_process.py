"""Runs an export in a process of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.decoding import ContentError, pack, unpack
from penstock.server.isolation.child_process import ChildEnded, ChildProcess

from .export_order import DONE, ORDER
from .run import Data

if TYPE_CHECKING:
    from .export_order import ExportOrder

_TARGET: Final = "penstock.server.retrain.export_child:serve"
_SEND_SECONDS: Final = 10.0
_LONGEST_SECONDS: Final = 1800.0


class ExportRefused(Exception):
    """The export did not come about; the message says why."""


def run_export(order: ExportOrder) -> Data:
    """The exported file. Blocking.

    Raises:
        ExportRefused: It cannot be written, or its process died.
    """
    try:
        with Path(os.devnull).open("wb") as nothing:
            child = ChildProcess(_TARGET, output=nothing.fileno())
    except OSError as error:
        raise ExportRefused(f"no process for the export could be started: {error}") from None
    try:
        child.send(ORDER, pack(order), _SEND_SECONDS)
        kind, content = child.receive(_LONGEST_SECONDS)
        if kind != DONE:
            raise ExportRefused(content.decode(errors="replace"))
        return unpack(Data, content, "the answer of the export")
    except (ChildEnded, ContentError) as error:
        raise ExportRefused(f"the process of the export: {error}") from None
    finally:
        child.close()
