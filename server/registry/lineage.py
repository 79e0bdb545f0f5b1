"""The lineage of a version: its files, its training run and its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.runtimes.contract import ModelLoadError
from penstock.server.files.roots import roots_of

from .verification import read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from .manifest import Manifest


@dataclass(frozen=True, slots=True)
class Lineage:
    """The known lineage of a version.

    Attributes:
        manifest: Manifest of it, if it has one.
        missing: Reason for which there is no manifest.
    """

    manifest: Manifest | None
    missing: str = ""

    def check(self, digest: str) -> dict[str, str]:
        """The chain from the digest that a prediction was logged with; a missing link says why.

        Args:
            digest: Digest of the files that served; empty if it was not known.
        """
        chain = {"digest": digest or "MISSING: not known when the prediction was logged"}
        if self.manifest is None:
            for link in ("run", "commit", "data"):
                chain[link] = f"MISSING: {self.missing}"
            return chain
        if digest and digest != self.manifest.digest:
            reason = f"the registry has other files now, {self.manifest.digest}"
            return chain | dict.fromkeys(("run", "commit", "data"), f"MISSING: {reason}")
        unsaid = "MISSING: nobody said when it was published"
        run = self.manifest.run
        chain["published"] = self.manifest.created_at or unsaid
        chain["run"] = run.run_id or unsaid
        chain["commit"] = run.commit or unsaid
        chain["data"] = self.manifest.data_hash or unsaid
        return chain


def lineage(registry: Path | None, model: str, version: object) -> Lineage:
    """Read the lineage of a version from the registry.

    Args:
        registry: The model repository; ``None`` if nobody knows where it is.
        model: Name of the model.
        version: Its number.
    """
    if registry is None:
        return Lineage(None, "no server runs here; name the registry with --registry")
    directory = registry / model / str(version)
    if not directory.is_dir():
        return Lineage(None, f"the version is not in {registry} any more")
    try:
        manifest = read_manifest(directory, roots_of(registry))
    except (ModelLoadError, OSError) as error:
        return Lineage(None, str(error))
    if manifest is None:
        return Lineage(None, "the version has no manifest; `penstock push` writes one")
    return Lineage(manifest)
