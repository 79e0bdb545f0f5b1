"""What to do about the version that an alias points at. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PUBLISH: Final = "publish"
PROMOTE: Final = "promote"
RESTORE: Final = "restore"


@dataclass(frozen=True, slots=True)
class AliasView:
    """An alias, and the model that it is served as.

    Attributes:
        pointed: Version of the other registry that the alias points at; empty if at none.
        before: The same at the last look; ``None`` at the first one.
        published: Version of the other registry -> version here.
        stable: What answers requests that name no version; ``None`` if nothing does.
        on_trial: The candidate of a rollout in progress; ``None`` without one.
        aborted: The candidate of the last rollout, if that was aborted; ``None`` otherwise.
    """

    pointed: str
    before: str | None
    published: Mapping[str, int]
    stable: int | None = None
    on_trial: int | None = None
    aborted: int | None = None


@dataclass(frozen=True, slots=True)
class AliasStep:
    """One thing to do.

    Attributes:
        action: `PUBLISH` a version, `PROMOTE` one that is here, or `RESTORE` the alias.
        pointed: Version of the other registry: to publish, to promote, or to point at again.
    """

    action: str
    pointed: str


def alias_step(view: AliasView, *, restore: bool) -> AliasStep | None:
    """What to do now; ``None`` for nothing.

    A version that is not here is published; what happens to it then is said by its gates and by
    ``on_push``. An alias that moves back to a version that is here already makes that one stable. A
    difference that was there at the first look is left alone: an operator may have decided it.

    Args:
        view: The alias and the model as they are.
        restore: Whether the alias is set back after an aborted rollout.
    """
    if not view.pointed:
        return None
    version = view.published.get(view.pointed)
    if version is None:
        return AliasStep(PUBLISH, view.pointed)
    if version in {view.stable, view.on_trial}:
        return None
    if version == view.aborted:
        back = next((one for one, here in view.published.items() if here == view.stable), "")
        return AliasStep(RESTORE, back) if restore and back else None
    moved = view.before is not None and view.before != view.pointed
    newest = version == max(view.published.values())
    return AliasStep(PROMOTE, view.pointed) if moved and not newest else None
