"""A wanted version, and the intake's result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.server.files.roots import OWN

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.runtimes.contract import Signature
    from penstock.server.files.roots import Roots

#: Model and version.
Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A wanted version.

    Attributes:
        key: Model and version.
        directory: Directory of the version in the registry.
        platform: Platform of the model, if its configuration says.
        roots: Directories in which links of the registry may end.
        failed: Whether the accepted version could not be loaded: then a change is taken at once.
        broken: Whether some worker could not load it: then its private copy is checked.
        served: Whether it has answered a request since the server started.
    """

    key: Key
    directory: Path
    platform: str | None = None
    roots: Roots = OWN
    failed: bool = False
    broken: bool = False
    served: bool = False


@dataclass(frozen=True, slots=True)
class IntakeResult:
    """The intake's result for a wanted version.

    Attributes:
        directory: Directory to load it from; ``None`` while it may not be loaded.
        digest: Digest of its files; empty while they are not known.
        reason: Reason for which it may not be loaded, or the change since it was taken.
        waiting: Whether a later pass may accept it without a change.
        declared: The signature that its manifest promises, if that says.
    """

    directory: Path | None = None
    digest: str = ""
    reason: str = ""
    waiting: bool = False
    declared: Signature | None = None


class Waiting(Exception):
    """A version is not complete yet; the message says what is missing."""
