"""``manifest.json``: the identity, the origin and the files of a published version.

The digest names the content: SHA-256 over the canonical list of files (path, size, SHA-256 of
each), so two versions with the same files have the same digest, also with other metadata.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping  # noqa: TC003  msgspec reads the annotations
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Final

import msgspec

from penstock.monitoring.files.decoding import ContentError, convert, decode_json
from penstock.monitoring.files.wording import shown
from penstock.runtimes.contract import VARIABLE, ModelLoadError, Signature
from penstock.runtimes.datatypes import NUMPY_OF
from penstock.server.files.refusal import ModelRefused
from penstock.server.files.safe_files import check_relative

MANIFEST_FILE: Final = "manifest.json"
FORMAT: Final = 1


class ManifestError(ModelLoadError):
    """The manifest cannot be read or says what cannot be; the message names file and key."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a version: path relative to its directory, size in bytes, SHA-256 in hex."""

    path: str
    size: Annotated[int, msgspec.Meta(ge=0, description="a number of bytes")]
    sha256: Annotated[
        str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z", description="64 hexadecimal digits")
    ]


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
        signature: Its inputs and outputs, if it was loaded when published.
        run: Training run that it comes from.
        data_hash: Data hash of the training data, in whatever form the team uses.
        metrics: Metrics of its evaluation.
        metadata: Key/value pairs from the model file.
        card: Words of its owner, by key, such as ``intended_use``.
        pushed_by: Name of the user who published it, as the system knew it.
        created_at: Time at which it was published: RFC 3339, UTC.
    """

    model: str
    version: int
    files: Annotated[
        tuple[FileEntry, ...], msgspec.Meta(min_length=1, description="at least one file")
    ]
    signature: Signature | None = None
    run: Run = field(default_factory=Run)
    data_hash: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    card: Mapping[str, str] = field(default_factory=dict)
    pushed_by: str = ""
    created_at: str = ""

    @property
    def digest(self) -> str:
        """Names the content, as ``sha256:`` and 64 hexadecimal digits."""
        return digest_of(self.files)

    @property
    def about(self) -> dict[str, str]:
        """What is said of it for people: by the model file, and by its owner, who comes first."""
        return {**self.metadata, **self.card}

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
        return _parse(decode_json(content, source), source)
    except ContentError as error:
        raise ManifestError(str(error)) from error


class _Head(msgspec.Struct):
    """What a manifest says of itself."""

    format: Annotated[
        int, msgspec.Meta(ge=FORMAT, le=FORMAT, description=f"{FORMAT}, the one known here")
    ]
    digest: str


def _parse(content: Any, source: str) -> Manifest:
    head = convert(_Head, content, source)
    manifest = convert(Manifest, content, source)
    _check_paths(manifest.files, source)
    if head.digest != manifest.digest:
        raise ContentError(
            f"{source}: digest is {shown(head.digest)}, expected {manifest.digest}, which its list "
            "of files has"
        )
    return replace(manifest, signature=checked_signature(manifest.signature, source))


def _check_paths(files: tuple[FileEntry, ...], source: str) -> None:
    seen: set[str] = set()
    for number, one in enumerate(files):
        wrong = f"{source}: files[{number}].path is {shown(one.path)}, expected"
        try:
            check_relative(one.path)
        except ModelRefused as refusal:
            raise ContentError(f"{wrong} one in the version: {refusal}") from refusal
        if one.path in seen or one.path == MANIFEST_FILE:
            raise ContentError(f"{wrong} each file once, and not the manifest")
        seen.add(one.path)


def checked_signature(signature: Signature | None, source: str) -> Signature | None:
    """What a file promises of inputs and outputs, without remarks: a runtime makes its own.

    Raises:
        ContentError: A datatype or a size is none.
    """
    if signature is None:
        return None
    for side in ("inputs", "outputs"):
        for number, one in enumerate(getattr(signature, side)):
            where = f"{source}: signature.{side}[{number}]"
            if one.datatype not in NUMPY_OF:
                known = ", ".join(NUMPY_OF)
                raise ContentError(
                    f"{where}.datatype is {shown(one.datatype)}, expected one of {known}"
                )
            if any(size < VARIABLE for size in one.shape):
                raise ContentError(
                    f"{where}.shape is {shown(one.shape)}, expected sizes, {VARIABLE} where open"
                )
    return replace(signature, batching="", remarks=())
