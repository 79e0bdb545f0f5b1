"""Which files a runtime looks for in a version directory, and how they are told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: Bytes of a file that are compared with `ModelFile.begins`.
HEAD_BYTES: Final = 256
_SPACE: Final = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A kind of model file.

    Attributes:
        name: Name of the file in a version directory.
        begins: First bytes of its content, without white space; empty if the content does not tell.
        common: Whether files of other kinds have this name, too, so that only one with a known
            beginning is taken for a model.
        beside: Endings of files that belong to it, of the same name and in the same directory.
    """

    name: str
    begins: tuple[bytes, ...] = ()
    common: bool = False
    beside: tuple[str, ...] = ()

    def fits(self, head: bytes) -> bool:
        """Whether a file that begins so is of this kind."""
        return head.translate(None, _SPACE).startswith(self.begins) if self.begins else False


def find_model_file(directory: Path, kinds: Sequence[ModelFile]) -> Path | None:
    """The first of these files in a version directory; ``None`` if none is there."""
    for kind in kinds:
        path = directory / kind.name
        if path.is_file() and (not kind.common or kind.fits(read_head(path))):
            return path
    return None


def read_head(path: Path) -> bytes:
    """The first bytes of a file; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""
