"""The desired state of each model: aliases, versions to load. Pure.

Every change is a function from one state to the next, whose generation is one higher; a change
without effect returns the same state. An alias moves only to a version that is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003  msgspec reads the annotations
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from penstock.server.errors import Conflict, InvalidRequest, NotFound

from .approval import Approval, added  # msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Collection

_T = TypeVar("_T")

STABLE: Final = "stable"
CANARY: Final = "canary"

#: Former stable versions that are remembered, per model; the audit log remembers all.
MAX_HISTORY: Final = 32
MAX_ALIASES: Final = 64

_ALIAS: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class ModelState:
    """The desired state of one model.

    Attributes:
        aliases: Name -> version.
        loaded: Versions to serve whatever the version policy says.
        unloaded: Versions not to serve whatever the version policy says.
        accepted: Versions to serve although golden requests or clients speak against them.
        former: Versions that were stable before, the last one at the end.
        rollout: State of the rollout in progress; empty without one.
        approvals: Approvals of versions by persons.
        tried: The highest version that was ever stable, or the candidate of a rollout.
    """

    aliases: Mapping[str, int] = field(default_factory=dict)
    loaded: frozenset[int] = frozenset()
    unloaded: frozenset[int] = frozenset()
    accepted: frozenset[int] = frozenset()
    former: tuple[int, ...] = ()
    rollout: Mapping[str, Any] = field(default_factory=dict)
    approvals: tuple[Approval, ...] = ()
    tried: int = 0

    @property
    def stable(self) -> int | None:
        """The version in production, if one was ever named."""
        return self.aliases.get(STABLE)


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The desired state of all models.

    Attributes:
        generation: Grows by one with every change; 0 has never been changed.
        models: The models by name, without those that no command has named.
    """

    generation: int = 0
    models: Mapping[str, ModelState] = field(default_factory=dict)

    def model(self, name: str) -> ModelState:
        """The desired state of a model."""
        return self.models.get(name, ModelState())


def check_generation(state: DesiredState, expected: int | None) -> None:
    """Check that a change was decided on this generation of the state; ``None`` accepts any.

    Raises:
        Conflict: The state has changed since.
    """
    if expected is not None and expected != state.generation:
        raise Conflict(
            f"the state has changed: it is at generation {state.generation}, you saw {expected}; "
            "look again and decide anew"
        )


def set_alias(
    state: DesiredState, model: str, alias: str, version: int, serving: Collection[int]
) -> DesiredState:
    """Point an alias at a version.

    Args:
        state: The present desired state.
        model: Name of the model.
        alias: ``stable`` is as `promote`.
        version: The version that it is to point at.
        serving: The versions that are loaded on every worker.

    Raises:
        InvalidRequest: That cannot be an alias, or there are too many.
        Conflict: The version is not loaded.
    """
    if alias == STABLE:
        return promote(state, model, version, serving)
    check_alias(alias)
    _check_serving(model, version, serving)
    now = state.model(model)
    aliases = {**now.aliases, alias: version}
    if len(aliases) > MAX_ALIASES:
        raise InvalidRequest(f"model {model!r} has {MAX_ALIASES} aliases, the most there may be")
    unloaded = now.unloaded - {version}
    return _with(state, model, replace(now, aliases=aliases, unloaded=unloaded))


def check_alias(alias: str) -> None:
    """Whether a name can be an alias.

    Raises:
        InvalidRequest: It cannot.
    """
    if not _ALIAS.fullmatch(alias):
        raise InvalidRequest(
            f"{alias!r} is not an alias; expected a letter, then letters, digits, _ or - "
            "(at most 64)"
        )


def remove_alias(state: DesiredState, model: str, alias: str) -> DesiredState:
    """Forget an alias and its share of the traffic.

    Raises:
        NotFound: There is none of this name.
        Conflict: It is ``stable``, which only moves.
    """
    now = state.model(model)
    if alias not in now.aliases:
        raise NotFound(f"model {model!r} has no alias {alias!r}; {_aliases(now)}")
    if alias == STABLE:
        raise Conflict(f"{STABLE} of model {model!r} can be moved, not removed")
    return _with(state, model, replace(now, aliases=_without(now.aliases, alias)))


def promote(
    state: DesiredState, model: str, version: int, serving: Collection[int]
) -> DesiredState:
    """Make a version stable. What was stable before is remembered for `rollback`.

    An alias ``canary`` on the version has done its work and is removed.

    Raises:
        Conflict: The version is not loaded.
    """
    _check_serving(model, version, serving)
    now = state.model(model)
    aliases: Mapping[str, int] = {**now.aliases, STABLE: version}
    if aliases.get(CANARY) == version:
        aliases = _without(aliases, CANARY)
    former = now.former
    if now.stable is not None and now.stable != version:
        former = (*former, now.stable)[-MAX_HISTORY:]
    unloaded = now.unloaded - {version}
    tried = max(now.tried, version)
    after = replace(now, aliases=aliases, former=former, unloaded=unloaded, tried=tried)
    return _with(state, model, after)


def rollback(state: DesiredState, model: str, serving: Collection[int]) -> DesiredState:
    """Make stable what was stable before; a second one goes back one more.

    Raises:
        NotFound: Nothing was stable before.
        Conflict: That version is not loaded any more.
    """
    now = state.model(model)
    if not now.former:
        raise NotFound(f"no version of model {model!r} to go back to; {_aliases(now)}")
    *former, version = now.former
    _check_serving(model, version, serving)
    aliases = {**now.aliases, STABLE: version}
    after = replace(
        now,
        aliases=aliases,
        former=tuple(former),
        unloaded=now.unloaded - {version},
    )
    return _with(state, model, after)


def load(
    state: DesiredState,
    model: str,
    version: int,
    published: Collection[int],
    *,
    accept: bool = False,
) -> DesiredState:
    """Serve a version whatever the version policy says.

    Args:
        state: The present desired state.
        model: Name of the model.
        version: The version.
        published: Those that are in the registry.
        accept: Although it answers its golden requests otherwise, or breaks clients.

    Raises:
        NotFound: It is not in the registry.
    """
    if version not in published:
        listed = ", ".join(map(str, sorted(published))) or "none"
        raise NotFound(f"version {version} of model {model!r} is not published; there are {listed}")
    now = state.model(model)
    after = replace(
        now,
        loaded=now.loaded | {version},
        unloaded=now.unloaded - {version},
        accepted=now.accepted | {version} if accept else now.accepted,
    )
    return _with(state, model, after)


def unload(state: DesiredState, model: str, version: int) -> DesiredState:
    """Do not serve a version whatever the version policy says.

    Raises:
        Conflict: An alias points at it.
    """
    now = state.model(model)
    pointing = sorted(alias for alias, target in now.aliases.items() if target == version)
    if pointing:
        raise Conflict(
            f"{', '.join(pointing)} of model {model!r} is version {version}; move it first"
        )
    after = replace(
        now,
        loaded=now.loaded - {version},
        unloaded=now.unloaded | {version},
        accepted=now.accepted - {version},
    )
    return _with(state, model, after)


def approve(state: DesiredState, model: str, approval: Approval) -> DesiredState:
    """Remember what a person has said of a version."""
    now = state.model(model)
    return _with(state, model, replace(now, approvals=added(now.approvals, approval)))


def put_back(state: DesiredState, model: str, version: int, before: ModelState) -> DesiredState:
    """Want of one version what was wanted before it was loaded; of the others what is wanted now.

    Args:
        state: The present desired state.
        model: Name of the model.
        version: The version.
        before: Former desired state of the model.
    """

    def one(now: frozenset[int], was: frozenset[int]) -> frozenset[int]:
        return now - {version} | was & {version}

    now = state.model(model)
    after = replace(
        now,
        loaded=one(now.loaded, before.loaded),
        unloaded=one(now.unloaded, before.unloaded),
        accepted=one(now.accepted, before.accepted),
    )
    return _with(state, model, after)


def _with(state: DesiredState, model: str, after: ModelState) -> DesiredState:
    if after == state.model(model):
        return state
    return DesiredState(state.generation + 1, {**state.models, model: after})


def _check_serving(model: str, version: int, serving: Collection[int]) -> None:
    if version not in serving:
        listed = ", ".join(map(str, sorted(serving))) or "none"
        raise Conflict(
            f"version {version} of model {model!r} is not loaded on every worker; loaded: {listed}"
        )


def _without(table: Mapping[str, _T], key: str) -> dict[str, _T]:
    return {name: value for name, value in table.items() if name != key}


def _aliases(now: ModelState) -> str:
    listed = ", ".join(f"{alias} is {version}" for alias, version in sorted(now.aliases.items()))
    return listed or "it has no aliases"
