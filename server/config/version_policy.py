"""Which versions of a model are served, and which of them answers when none is named. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

#: A new version answers requests that name none as soon as every worker has it ready; or it waits
#: until an operator promotes it. In both cases a model's first version answers by itself.
SERVE: Final = "serve"
WAIT: Final = "wait"
CANARY: Final = "canary"


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """Triton's three policies, and its explicit mode. With no field set: all versions.

    Attributes:
        latest: Only so many of the highest versions.
        specific: Only these versions.
        explicit: None but those that an operator loads.
    """

    latest: int | None = None
    specific: tuple[int, ...] | None = None
    explicit: bool = False


def served_versions(policy: VersionPolicy, present: Iterable[int]) -> tuple[int, ...]:
    """The versions to serve, ascending; named versions that are not present are left out."""
    versions = sorted(set(present))
    if policy.explicit:
        return ()
    if policy.specific is not None:
        return tuple(version for version in versions if version in policy.specific)
    if policy.latest is not None:
        return tuple(versions[-policy.latest :])
    return tuple(versions)


def default_version(served: Iterable[int], wanted: int | None = None) -> int | None:
    """Who answers a request without a version: the wanted one if served, else the highest."""
    versions = tuple(served)
    return wanted if wanted in versions else max(versions, default=None)
