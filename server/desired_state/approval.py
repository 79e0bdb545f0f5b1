"""What a person has said of a version: it is approved, or let in although a gate failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Approvals of one model that are remembered, the newest; the audit log remembers all.
MAX_APPROVALS: Final = 64
APPROVED: Final = "gates.approve"
OVERRIDDEN: Final = "gates.override"


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval.

    Attributes:
        version: Number of the version.
        digest: Digest of its files; other files under this number are not approved.
        by: Name of the token that approved it.
        at: Time of the approval, Unix seconds.
        until: Until when it lets the version in, Unix seconds.
        override: Whether it lets the version in whatever its gates say.
    """

    version: int
    digest: str
    by: str
    at: float
    until: float
    override: bool = False


def added(known: tuple[Approval, ...], one: Approval) -> tuple[Approval, ...]:
    """The approvals with another one, which replaces an older one of the same kind and digest."""
    kept = [each for each in known if (each.digest, each.override) != (one.digest, one.override)]
    return (*kept, one)[-MAX_APPROVALS:]


def of_record(action: str, actor: str, evidence: Mapping[str, Any]) -> Approval | None:
    """The approval of a record of the audit log; ``None`` if the record is none."""
    if action not in {APPROVED, OVERRIDDEN}:
        return None
    try:
        version, digest = int(evidence["version"]), str(evidence["digest"])
        at, until = float(evidence["at"]), float(evidence["until"])
    except (KeyError, TypeError, ValueError):
        return None
    return Approval(version, digest, actor, at, until, action == OVERRIDDEN)
