"""What to do about the version that an alias points at. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.server.config.version_policy import SERVE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.server.registry.mlflow_version import MlflowVersion

PUBLISH: Final = "publish"
PROMOTE: Final = "promote"
RESTORE: Final = "restore"


@dataclass(frozen=True, slots=True)
class AliasView:
    """An alias, and the model that it is served as.

    Attributes:
        pointed: Version of MLflow that the alias points at; ``None`` if at none.
        moved: Whether the alias was seen to move there, and the version was neither stable nor on
            trial since.
        published: Version of MLflow -> version here.
        stable: What answers requests that name no version; ``None`` if nothing does.
        pinned: Whether somebody has named a stable version.
        tried: The highest version that was ever stable, or the candidate of a rollout.
        on_push: What new versions of the model do by themselves.
        on_trial: The candidate of a rollout in progress; ``None`` without one.
        aborted: The candidate of the last rollout, if that was aborted; ``None`` otherwise.
    """

    pointed: MlflowVersion | None
    moved: bool
    published: Mapping[MlflowVersion, int]
    stable: int | None = None
    pinned: bool = False
    tried: int = 0
    on_push: str = SERVE
    on_trial: int | None = None
    aborted: int | None = None

    @property
    def version(self) -> int | None:
        """The version here that the alias points at; ``None`` if it is not here."""
        return None if self.pointed is None else self.published.get(self.pointed)

    @property
    def reached(self) -> bool:
        """Whether that version is stable or on trial."""
        return self.version is not None and self.version in {self.stable, self.on_trial}


@dataclass(frozen=True, slots=True)
class AliasStep:
    """One thing to do.

    Attributes:
        action: `PUBLISH` a version, `PROMOTE` one that is here, or `RESTORE` the alias.
        pointed: Version of MLflow: to publish, to promote, or to point at again.
    """

    action: str
    pointed: MlflowVersion


def alias_step(view: AliasView, *, restore: bool) -> AliasStep | None:
    """What to do now; ``None`` for nothing.

    A version that is not here is published. One that is here, and that the alias was seen to move
    to, becomes stable, unless its gates and ``on_push`` decide about it. A difference that was
    there at the first look is left alone: an operator may have decided it.

    Args:
        view: The alias and the model as they are.
        restore: Whether the alias is set back after an aborted rollout.
    """
    version = view.version
    if view.pointed is None or view.reached:
        return None
    if version is None:
        return AliasStep(PUBLISH, view.pointed)
    if version == view.aborted:
        back = next((one for one, here in view.published.items() if here == view.stable), None)
        return AliasStep(RESTORE, back) if restore and back is not None else None
    return (
        AliasStep(PROMOTE, view.pointed) if view.moved and not _by_itself(view, version) else None
    )


def _by_itself(view: AliasView, version: int) -> bool:
    """Whether `on_push` says what happens to a version."""
    if view.on_push == SERVE:  # the newest one answers, until somebody has named a stable version
        return not view.pinned and version == max(view.published.values())
    return version > max(view.tried, view.stable or 0)
