"""A version that is wanted, and what became of it when the intake looked at it."""

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
    """A version that is wanted.

    Attributes:
        key: Model and version.
        directory: Directory of the version in the registry.
        platform: Platform of the model, if its configuration says.
        roots: Where links in the registry may end.
        failed: Whether what was taken could not be loaded: then a change is looked at anew.
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
    """What became of a version that is wanted.

    Attributes:
        directory: To load it from; ``None`` while it may not be loaded.
        digest: Digest of its files; empty while they are not known.
        reason: Why it may not be loaded, or what has changed since it was taken.
        waiting: Whether another look may be all it takes.
        declared: The signature that its manifest promises, if that says.
    """

    directory: Path | None = None
    digest: str = ""
    reason: str = ""
    waiting: bool = False
    declared: Signature | None = None


class Waiting(Exception):
    """A version has not arrived yet; the message says what is waited for."""
