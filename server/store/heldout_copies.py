"""The held-out files of models in a store: copied beside ``model.toml``, where gates read them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from penstock.monitoring.files.atomic_file import replace_file
from penstock.server.config.model_config import decode_model_config
from penstock.server.files.config_error import ConfigError
from penstock.server.registry.repository import MODEL_FILE

from .store_error import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from .object_store import Found, ObjectStore


@dataclass(frozen=True, slots=True)
class _Copy:
    """A file that was copied: its name, and the object without its content."""

    name: str
    found: Found


class HeldOutCopies:
    """Keeps the held-out file of each model in step with the store. Blocking; for one thread.

    Only a file right beside ``model.toml`` is copied, so who writes to the store chooses no place
    on this machine.

    Args:
        store: The store.
        directory: A directory with a directory for each model.

    Attributes:
        problems: By model, why its file cannot be copied.
    """

    def __init__(self, store: ObjectStore, directory: Path) -> None:
        self._store = store
        self._directory = directory
        self._copies: dict[str, _Copy] = {}
        self.problems: dict[str, str] = {}

    def refresh(self, model: str) -> bool:
        """Copy the file that the gates of a model name; whether it has changed.

        What was copied before stays while the object cannot be read.
        """
        self.problems.pop(model, None)
        name = self._name(model)
        known = self._copies.get(model)
        if known is not None and known.name != name:
            self._remove(model)
            known = None
        if not name:
            return False
        if "/" in name:
            self.problems[model] = (
                f"gates.evaluation.data of {model} is in a folder; in a store, expected the name "
                "of a file beside model.toml"
            )
            return False
        path = f"{model}/{name}"
        target = self._directory / model / name
        before = known.found if known is not None and target.exists() else None
        try:
            found = self._store.read(path, before)
        except StoreError as error:
            self.problems[model] = str(error)
            return False
        if found is None:
            self.problems[model] = (
                f"{self._store.url}/{path} is not there: model.toml names it under "
                "gates.evaluation.data; put it there"
            )
            return False
        if found is before:
            return False
        if not target.exists() or target.read_bytes() != found.content:
            replace_file(target, found.content, 0o600)
        self._copies[model] = _Copy(name, replace(found, content=b""))
        return True

    def forget(self, model: str) -> None:
        """The model is not in the store any more, and its directory is gone."""
        self._copies.pop(model, None)
        self.problems.pop(model, None)

    def _remove(self, model: str) -> None:
        copy = self._copies.pop(model)
        (self._directory / model / copy.name).unlink(missing_ok=True)

    def _name(self, model: str) -> str:
        """The name of the held-out file; empty if the model has none."""
        file = self._directory / model / MODEL_FILE
        with suppress(OSError, ConfigError):  # which the survey of the registry tells
            evaluation = decode_model_config(file.read_bytes(), str(file)).gates.evaluation
            return "" if evaluation is None else evaluation.data
        return ""
