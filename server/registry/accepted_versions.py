"""The list of accepted versions, kept so that a restart reads no model twice.

The file can be lost: then everything is examined again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.config_file import read_bounded
from penstock.server.files.checked_json import ContentError, decode_object
from penstock.server.files.listing import FileFact

from .manifest import parse_signature

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from penstock.runtimes.contract import Signature
    from penstock.server.files.checked_json import CheckedObject

_FORMAT: Final = 1
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


def write_accepted(path: Path, accepted: Mapping[tuple[str, int], AcceptedVersion]) -> None:
    """Replace the file at once."""
    versions = [
        {
            "model": model,
            "version": version,
            "digest": one.digest,
            "signature": None if one.declared is None else asdict(one.declared),
            "published": one.published,
            "served": one.served,
            "copy": one.copy,
            "files": [
                {"path": fact.path, "size": fact.size, "changed_ns": fact.changed_ns}
                for fact in one.files
            ],
        }
        for (model, version), one in sorted(accepted.items())
    ]
    content = json.dumps({"format": _FORMAT, "versions": versions}).encode()
    replace_file(path, content, 0o600)


def read_accepted(path: Path) -> dict[tuple[str, int], AcceptedVersion]:
    """Read the list; empty if the file is missing or damaged."""
    try:
        content = decode_object(read_bounded(path, _MAX_BYTES), str(path))
        if content.get("format", int) != _FORMAT:
            return {}
        return dict(map(_version, content.objects("versions")))
    except (OSError, ContentError):
        return {}


def _version(content: CheckedObject) -> tuple[tuple[str, int], AcceptedVersion]:
    files = tuple(
        FileFact(one.get("path", str), one.get("size", int), one.get("changed_ns", int))
        for one in content.objects("files")
    )
    key = content.get("model", str), content.get("version", int)
    # A list of an older server does not have it; then no version is taken again.
    return key, AcceptedVersion(
        content.get("digest", str),
        files,
        parse_signature(content),
        published=content.get("published", bool, default=False),
        served=content.get("served", bool, default=True),
        copy=content.get("copy", str, ""),
    )
