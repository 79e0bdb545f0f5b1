"""Where versions are published: a directory, or an object store behind the same methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .earlier_versions import made_of
from .publish import Published

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .mlflow_version import MlflowVersion


class PublishPlace(Protocol):
    """Where a version is checked, and where it is published."""

    @property
    def registry(self) -> Path:
        """A registry of this machine, in which the version is checked first.

        For a store it is a temporary one, with the numbers of the versions and ``model.toml``.
        """
        ...

    def find(self, model: str, source: MlflowVersion, wanted: int | None) -> Published | None:
        """The version that was made of a version of MLflow; ``None`` if none was.

        Raises:
            Conflict: There is one, and it has another number than the one that is wanted.
            OSError: It cannot be read.
        """
        ...

    def bring(self, model: str, version: int | None) -> None:
        """Have a model's versions in `registry`, as a pipeline needs them for its steps.

        Args:
            model: Name of the model.
            version: The version whose files are needed; ``None`` for the numbers of all.

        Raises:
            OSError: They cannot be fetched.
        """
        ...

    def finish(
        self, published: Published, wanted: int | None, progress: Callable[[int], object]
    ) -> Published:
        """Publish what `registry` has now, and so that others see it.

        Args:
            published: From `penstock.server.registry.publish.publish`; one that is not new is given
                back.
            wanted: The number; the next free one if ``None``.
            progress: Called with the number of bytes since the last call.

        Raises:
            Conflict: The version exists.
            OSError: It cannot be written.
        """
        ...


@dataclass(frozen=True, slots=True)
class DirectoryPlace:
    """A registry in a directory: what is published there needs nothing more.

    Attributes:
        registry: The directory.
    """

    registry: Path

    def find(self, model: str, source: MlflowVersion, wanted: int | None) -> Published | None:
        """See `PublishPlace.find`."""
        found = made_of(self.registry / model, source, wanted)
        if found is None:
            return None
        return Published(self.registry / model / str(found.version), found, new=False)

    def bring(self, model: str, version: int | None) -> None:
        """See `PublishPlace.bring`."""

    def finish(
        self, published: Published, wanted: int | None, progress: Callable[[int], object]
    ) -> Published:
        """See `PublishPlace.finish`."""
        del wanted, progress
        return published
