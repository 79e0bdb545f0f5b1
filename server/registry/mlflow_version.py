"""A version of an MLflow registry, as the manifest of a version here names it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODEL_KEY: Final = "mlflow.model"
_VERSION_KEY: Final = "mlflow.version"
_CREATED_KEY: Final = "mlflow.created"


@dataclass(frozen=True, slots=True)
class MlflowVersion:
    """One version of a registered model.

    Attributes:
        model: Name of the registered model.
        version: Its number there.
        created: When it was made there, milliseconds since 1970. A model that was deleted and
            registered again counts from 1 again, and so does another server.
    """

    model: str
    version: str
    created: str

    def __str__(self) -> str:
        return f"{self.model}/{self.version}@{self.created}"

    @property
    def uri(self) -> str:
        """The address that MLflow's client takes."""
        return f"models:/{self.model}/{self.version}"

    @property
    def metadata(self) -> dict[str, str]:
        """What a manifest says of it."""
        return {
            _MODEL_KEY: self.model,
            _VERSION_KEY: self.version,
            _CREATED_KEY: self.created,
        }


def mlflow_version_of(metadata: Mapping[str, str]) -> MlflowVersion | None:
    """The version that a manifest names; ``None`` if it names none."""
    found = [metadata.get(key, "") for key in (_MODEL_KEY, _VERSION_KEY, _CREATED_KEY)]
    return MlflowVersion(*found) if all(found) else None
