"""The list of accepted versions, kept so that a restart reads no model twice.

The file can be lost: then everything is examined again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.decoding import ContentError, read_json
from penstock.runtimes.contract import Signature
from penstock.server.files.listing import FileFact

from .manifest import checked_signature

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


_MAX_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class AcceptedVersion:
    """A version that the intake has accepted.

    Attributes:
        digest: Digest of its content; names the private copy.
        files: Its files in the registry at that time.
        declared: The signature that its manifest promises, if that says.
        published: Whether it has a manifest: then its files never change.
        served: Whether it has answered a request.
        copy: Name of its private copy; by default the digest.
    """

    digest: str
    files: tuple[FileFact, ...]
    declared: Signature | None = None
    published: bool = False
    served: bool = False
    copy: str = ""

    @property
    def copy_name(self) -> str:
        """Name of the directory of its private copy."""
        return self.copy or self.digest.removeprefix("sha256:")

    def touched(self, files: tuple[FileFact, ...]) -> bool:
        """True if only times of the files differ, as after a copy of the whole registry."""
        before, now = ([(one.path, one.size) for one in some] for some in (self.files, files))
        return files != self.files and before == now

    def change(self, files: tuple[FileFact, ...]) -> str:
        """The change of its files, which are these now, in words; empty if there is none."""
        if files == self.files:
            return ""
        if not files:
            return "its directory is gone; what was taken from it still serves"
        return "its files were changed since it was taken; what was taken still serves"


class _Version(msgspec.Struct):
    """A version as it is written."""

    model: str
    version: int
    digest: str
    files: tuple[FileFact, ...]
    signature: Signature | None = None
    published: bool = False
    served: bool = True  # an older server does not say; then nothing is taken again
    copy: str = ""


class _File(msgspec.Struct):
    format: Literal[1]
    versions: list[_Version]


def write_accepted(path: Path, taken: Mapping[tuple[str, int], AcceptedVersion]) -> None:
    """Replace the file at once."""
    versions = [
        _Version(
            *(model, version, one.digest, one.files, one.declared),
            *(one.published, one.served, one.copy),
        )
        for (model, version), one in sorted(taken.items())
    ]
    replace_file(path, msgspec.json.encode(_File(1, versions)), 0o600)


def read_accepted(path: Path) -> dict[tuple[str, int], AcceptedVersion]:
    """Read the list; empty if the file is missing or damaged."""
    source = str(path)
    try:
        found = read_json(_File, read_bounded(path, _MAX_BYTES), source)
        return {
            (one.model, one.version): AcceptedVersion(
                one.digest,
                one.files,
                checked_signature(one.signature, source),
                one.published,
                one.served,
                one.copy,
            )
            for one in found.versions
        }
    except (OSError, ContentError):
        return {}
