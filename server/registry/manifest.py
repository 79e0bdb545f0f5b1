"""``manifest.json``: the identity, the origin and the files of a published version.

The digest names the content: SHA-256 over the canonical list of files (path, size, SHA-256 of
each), so two versions with the same files have the same digest, also with other metadata.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from penstock.runtimes.contract import VARIABLE, ModelLoadError, Signature, TensorSpec
from penstock.runtimes.datatypes import NUMPY_OF
from penstock.server.files.checked_json import ContentError, decode_object
from penstock.server.files.refusal import ModelRefused
from penstock.server.files.safe_files import check_relative

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.server.files.checked_json import CheckedObject

MANIFEST_FILE: Final = "manifest.json"
FORMAT: Final = 1

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class ManifestError(ModelLoadError):
    """The manifest cannot be read or says what cannot be; the message names file and key."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a version: path relative to its directory, size in bytes, SHA-256 in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Run:
    """The training run that made the version; empty if unknown."""

    run_id: str = ""
    commit: str = ""
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of a version.

    Attributes:
        model: Name of the model it was published as.
        version: Its number there.
        files: All files but the manifest, by path.
        signature: What it takes and gives, if it was loaded when published.
        run: Where it comes from.
        data_hash: Data hash of the training data, in whatever form the team uses.
        metrics: Metrics of its evaluation.
        metadata: Key/value pairs from the model file.
        created_at: When it was published: RFC 3339, UTC.
    """

    model: str
    version: int
    files: tuple[FileEntry, ...]
    signature: Signature | None = None
    run: Run = field(default_factory=Run)
    data_hash: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_at: str = ""

    @property
    def digest(self) -> str:
        """Names the content, as ``sha256:`` and 64 hexadecimal digits."""
        return digest_of(self.files)

    @property
    def total_bytes(self) -> int:
        """Of all files together."""
        return sum(entry.size for entry in self.files)


def digest_of(files: tuple[FileEntry, ...]) -> str:
    """The digest of these files; their order does not matter."""
    entries = [[entry.path, entry.size, entry.sha256] for entry in files]
    canonical = json.dumps(sorted(entries), separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def encode_manifest(manifest: Manifest) -> bytes:
    """The file's content: JSON for people, with the digest written out."""
    content = {"format": FORMAT, "digest": manifest.digest, **asdict(manifest)}
    return json.dumps(content, indent=2, allow_nan=False).encode() + b"\n"


def parse_manifest(content: bytes, source: str = MANIFEST_FILE) -> Manifest:
    """Check the file's content; `source` names it in errors.

    Raises:
        ManifestError: It is no manifest, or contradicts itself.
    """
    try:
        return _parse(decode_object(content, source))
    except ContentError as error:
        raise ManifestError(str(error)) from error


def _parse(keys: CheckedObject) -> Manifest:
    if keys.get("format", int) != FORMAT:
        raise keys.wrong("format", f"{FORMAT}, the one known here")
    run = keys.inner("run", {})
    manifest = Manifest(
        model=keys.get("model", str),
        version=keys.get("version", int),
        files=_files(keys),
        signature=parse_signature(keys),
        run=Run(run.get("run_id", str, ""), run.get("commit", str, ""), run.table("params", str)),
        data_hash=keys.get("data_hash", str, ""),
        metrics={name: float(value) for name, value in keys.table("metrics", int | float).items()},
        metadata=keys.table("metadata", str),
        created_at=keys.get("created_at", str, ""),
    )
    if keys.get("digest", str) != manifest.digest:
        raise keys.wrong("digest", f"{manifest.digest}, which its list of files has")
    return manifest


def _files(keys: CheckedObject) -> tuple[FileEntry, ...]:
    entries: dict[str, FileEntry] = {}
    for one in keys.objects("files"):
        path, size, sha256 = one.get("path", str), one.get("size", int), one.get("sha256", str)
        try:
            check_relative(path)
        except ModelRefused as refusal:
            raise one.wrong("path", f"one in the version: {refusal}") from refusal
        if path in entries or path == MANIFEST_FILE:
            raise one.wrong("path", "each file once, and not the manifest")
        if size < 0:
            raise one.wrong("size", "a number of bytes")
        if not _SHA256.fullmatch(sha256):
            raise one.wrong("sha256", "64 hexadecimal digits")
        entries[path] = FileEntry(path, size, sha256)
    if not entries:
        raise keys.wrong("files", "at least one file")
    return tuple(entries.values())


def parse_signature(keys: CheckedObject) -> Signature | None:
    """The value of ``signature`` in an object, as `dataclasses.asdict` made it.

    Raises:
        ContentError: It is there and is none.
    """
    if keys.get("signature", dict | None, None) is None:
        return None
    content = keys.inner("signature")
    inputs, outputs = (tuple(map(_tensor, content.objects(side))) for side in ("inputs", "outputs"))
    batch_axis = content.get("batch_axis", bool)
    rows_axis = content.get("rows_axis", bool, default=False)  # older manifests do not say
    return Signature(inputs, outputs, batch_axis, rows_axis=rows_axis)


def _tensor(content: CheckedObject) -> TensorSpec:
    datatype, shape = content.get("datatype", str), content.get("shape", list)
    if datatype not in NUMPY_OF:
        raise content.wrong("datatype", "one of " + ", ".join(NUMPY_OF))
    if not all(type(size) is int and size >= VARIABLE for size in shape):
        raise content.wrong("shape", f"sizes, {VARIABLE} where open")
    optional = content.get("optional", bool, default=False)
    return TensorSpec(content.get("name", str), datatype, tuple(shape), optional)
