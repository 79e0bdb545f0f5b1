"""``penstock-index.json``: all versions of a registry in an object store, in one small object.

Each publish replaces it by compare-and-swap, so a version is in the registry from the moment that
the index names it. Who follows the registry asks for this one object, however many versions there
are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003  msgspec reads the annotations
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Final, Literal

import msgspec

from penstock.monitoring.files.decoding import ContentError, convert, decode_json
from penstock.monitoring.files.wording import shown
from penstock.server.registry.repository import MODEL_NAME, VERSION_NAME

INDEX_FILE: Final = "penstock-index.json"
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One version, as the index has it.

    Attributes:
        manifest: SHA-256 of its ``manifest.json`` in hex; empty for a version that another tool
            has put there.
        digest: Digest of its files, as `penstock.server.registry.manifest` has it; empty likewise.
        source: The version of MLflow that it was made of, as `MlflowVersion` is written; empty for
            others.
    """

    manifest: Annotated[
        str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?\Z", description="64 hexadecimal digits")
    ] = ""
    digest: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """The content of the index.

    Attributes:
        generation: The number of changes so far.
        models: Model -> version -> what is known of it.
    """

    generation: int = 0
    models: Mapping[str, Mapping[int, IndexEntry]] = field(default_factory=dict)

    def of(self, model: str) -> Mapping[int, IndexEntry]:
        """The versions of a model; none if there is no such model."""
        return self.models.get(model, {})

    def made_of(self, model: str, source: str) -> int | None:
        """The newest version that was made of a version of MLflow; ``None`` if none was."""
        found = (version for version, one in self.of(model).items() if source == one.source)
        return max(found, default=None) if source else None

    def with_version(self, model: str, version: int, entry: IndexEntry) -> Index:
        """The index after one publish."""
        versions = {**self.of(model), version: entry}
        return replace(
            self, generation=self.generation + 1, models={**self.models, model: versions}
        )


class _File(msgspec.Struct):
    format: Literal[1]
    generation: Annotated[int, msgspec.Meta(ge=0)]
    models: dict[str, dict[str, IndexEntry]]


def _written(entry: IndexEntry) -> dict[str, str]:
    return {key: one for key, one in asdict(entry).items() if one or key != "source"}


def encode_index(index: Index) -> bytes:
    """The object's content: JSON, one version a line."""
    models = {
        model: {str(version): _written(entry) for version, entry in sorted(versions.items())}
        for model, versions in sorted(index.models.items())
    }
    content = {"format": _FORMAT, "generation": index.generation, "models": models}
    return json.dumps(content, separators=(",", ":")).replace('},"', '},\n"').encode() + b"\n"


def parse_index(content: bytes, source: str) -> Index:
    """Check the object's content; `source` names it in errors.

    Raises:
        ContentError: It is no index, or names what no registry can have.
    """
    file = convert(_File, decode_json(content, source), source)
    for model, versions in file.models.items():
        if not MODEL_NAME.fullmatch(model):
            raise ContentError(f"{source}: models has {shown(model)}, expected names of models")
        for version in versions:
            if not VERSION_NAME.fullmatch(version):
                raise ContentError(
                    f"{source}: models.{model} has {shown(version)}, expected whole numbers from 1"
                )
    return Index(
        file.generation,
        {
            model: {int(version): entry for version, entry in versions.items()}
            for model, versions in file.models.items()
        },
    )
