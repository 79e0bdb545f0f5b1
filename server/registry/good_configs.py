"""The last valid ``model.toml`` of each model, so that a later typing error does no harm.

    STATE/model-configs.json     by model, the good content; null for a model without the file

It is kept on disk, so that a server that restarts with an invalid file uses the last valid one.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.decoding import ContentError, read_json

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

LOG = logging.getLogger("penstock.planner")

FILE: Final = "model-configs.json"
_FORMAT: Final = 1
_MAX_BYTES: Final = 64 << 20
#: Most bytes on disk for all models; further files are kept in memory only.
_MAX_KEPT_BYTES: Final = 32 << 20


class _File(msgspec.Struct):
    format: Literal[1]
    models: dict[str, str | None]


class GoodConfigs:
    """The last valid contents by model.

    Args:
        path: Path of the file; ``None`` keeps nothing beyond the process.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._contents: dict[str, str | None] = {} if path is None else _read(path)
        self._dirty = False

    def __contains__(self, model: str) -> bool:
        return model in self._contents

    def recall(self, model: str) -> bytes | None:
        """The last valid content of a known model; ``None`` if it had no file."""
        content = self._contents[model]
        return None if content is None else content.encode()

    def remember(self, model: str, content: bytes | None) -> None:
        """Note a valid content."""
        text = None if content is None else content.decode()
        if model not in self._contents or self._contents[model] != text:
            self._contents[model] = text
            self._dirty = True

    def settle(self, models: Collection[str]) -> None:
        """Forget all models but these, and write the changes; a full disk is logged."""
        gone = self._contents.keys() - models
        for model in gone:
            del self._contents[model]
        if self._path is None or not (self._dirty or gone):
            return
        kept: dict[str, str | None] = {}
        left = _MAX_KEPT_BYTES
        for model, text in sorted(self._contents.items(), key=lambda item: len(item[1] or "")):
            left -= len(text or "") + len(model)
            if left >= 0:
                kept[model] = text
        try:
            content = json.dumps({"format": _FORMAT, "models": kept}).encode()
            replace_file(self._path, content, 0o600)
        except OSError as error:
            LOG.warning("%s cannot be written: %s", self._path, error.strerror or error)
            self._dirty = True
        else:
            self._dirty = False


def _read(path: Path) -> dict[str, str | None]:
    """Read the file; empty if it is missing or damaged."""
    try:
        found = read_json(_File, read_bounded(path, _MAX_BYTES), str(path))
    except (OSError, ContentError):
        return {}
    return found.models
