"""What to serve of each model: the registry as it is, and what an operator wants of it. Pure.

Without the alias ``stable`` the newest version answers requests that name none, once it is ready
everywhere. With it, ``stable`` alone decides: a new version is loaded, and serves who asks for it.
A version that a rollout is about never becomes the default by itself.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  msgspec reads the annotations
from dataclasses import dataclass, field, replace
from pathlib import Path  # noqa: TC003  as above
from typing import TYPE_CHECKING

from penstock.runtimes.contract import Signature  # noqa: TC001  as above
from penstock.server.config.model_config import ModelConfig  # noqa: TC001  as above
from penstock.server.config.version_policy import VersionPolicy, served_versions
from penstock.server.desired_state.rollout_state import in_progress
from penstock.server.rollout.phase import Phase
from penstock.server.rollout.rollout import mirror_of, split_of
from penstock.server.rollout.rollout_spec import Kind
from penstock.server.rollout.traffic import Mirror, Split  # noqa: TC001  as above

from .planned_step import PlannedStep

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from penstock.server.desired_state.state import DesiredState, ModelState
    from penstock.server.pipelines.pins import Pin
    from penstock.server.registry.repository import ModelEntry
    from penstock.server.rollout.rollout import Rollout


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """What to serve of one model.

    Attributes:
        name: Name of the model.
        versions: To be loaded -> the directory to load it from, ascending.
        default: Answers when no version is named; ``None`` if nobody may.
        aliases: Name -> version; each is one of `versions`.
        config: From ``model.toml``.
        pinned: Whether an operator chose the default: then no other version stands in for it.
        accepted: Versions that an operator takes although they answer their golden requests
            otherwise, or break clients.
        split: Division of requests that name no version between two versions.
        mirror: To which version a copy of the traffic goes.
        declared: By version, the signature that its manifest promises.
        retried: By version, when an operator last asked to try it again, Unix seconds.
        quarantined: By version, why it is kept out of service.
        steps: The steps of each version that is a pipeline.
        steps_only: Versions that are loaded for pipelines alone; none of them becomes the default.
    """

    name: str
    versions: Mapping[int, Path]
    default: int | None
    aliases: Mapping[str, int]
    config: ModelConfig
    pinned: bool = False
    accepted: tuple[int, ...] = ()
    split: Split | None = None
    mirror: Mirror | None = None
    declared: Mapping[int, Signature] = field(default_factory=dict)
    retried: Mapping[int, float] = field(default_factory=dict)
    quarantined: Mapping[int, str] = field(default_factory=dict)
    steps: Mapping[int, tuple[PlannedStep, ...]] = field(default_factory=dict)
    steps_only: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the versions of a model stand.

    Attributes:
        serving: Ready on every worker.
        failed: Could not be loaded by some worker, and no worker serves it.
        broken: Could not be loaded by some worker.
        default: Version that answered last when none was named.
    """

    serving: frozenset[int] = frozenset()
    failed: frozenset[int] = frozenset()
    default: int | None = None
    broken: frozenset[int] = frozenset()

    def without(self, versions: Collection[int]) -> Standing:
        """The same where these versions are as good as failed."""
        if not versions:
            return self
        default = None if self.default in versions else self.default
        return Standing(self.serving - {*versions}, self.failed | {*versions}, default)


#: Of a model that no worker has told of.
UNKNOWN = Standing()


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the plan rests on beside registry and desired state.

    Attributes:
        standings: By model.
        available: By model, the versions that may be loaded and where from; ``None`` if all in the
            registry may, from there.
        explicit: Serve only on command where ``model.toml`` does not say which versions to serve.
        declared: By model and version, the signature that its manifest promises.
        retried: By model and version, when an operator last asked to try it again, Unix seconds.
        quarantined: By model and version, why it is kept out of service.
        held: By model, the versions of the present target. They stay in it while all versions that
            may be loaded have failed: each of the others was tried before them.
        pins: By model and version, the pins of a pipeline.
    """

    standings: Mapping[str, Standing] = field(default_factory=dict)
    available: Mapping[str, Mapping[int, Path]] | None = None
    explicit: bool = False
    declared: Mapping[str, Mapping[int, Signature]] = field(default_factory=dict)
    retried: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    quarantined: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    held: Mapping[str, Collection[int]] = field(default_factory=dict)
    pins: Mapping[str, Mapping[int, tuple[Pin, ...]]] = field(default_factory=dict)


def aspire(
    models: Mapping[str, ModelEntry], state: DesiredState, outlook: Outlook | None = None
) -> dict[str, ModelPlan]:
    """The plan for every model of which something is to be served.

    Args:
        models: Models of the registry.
        state: Desired state.
        outlook: By default every version may be loaded, and nobody has told of any.
    """
    outlook = outlook or Outlook()
    plans = {name: _plan(entry, state.model(name), outlook) for name, entry in models.items()}
    if outlook.pins:
        plans = _with_steps(plans, models, state, outlook)
    return {name: plan for name, plan in plans.items() if plan.versions}


def _with_steps(
    plans: Mapping[str, ModelPlan],
    models: Mapping[str, ModelEntry],
    state: DesiredState,
    outlook: Outlook,
) -> dict[str, ModelPlan]:
    """The plans with the steps of pipelines, and with the versions that run these."""
    served = {
        name: {*plan.versions, *tried_version(state.model(name))} for name, plan in plans.items()
    }
    pinned: dict[str, set[int]] = {}
    for name, versions in served.items():
        for version in versions & outlook.pins.get(name, {}).keys():
            for pin in outlook.pins[name][version]:
                pinned.setdefault(pin.model, set()).add(pin.version)
    loaded = {
        name: _plan(models[name], state.model(name), outlook, pinned[name])
        if name in pinned
        else plan
        for name, plan in plans.items()
    }
    for name in outlook.pins.keys() & loaded.keys():
        pins = outlook.pins[name]
        steps = {
            version: tuple(_planned_step(pin, loaded.get(pin.model)) for pin in pins[version])
            for version in sorted(served[name] & pins.keys())
        }
        loaded[name] = replace(loaded[name], steps=steps)
    return loaded


def _planned_step(pin: Pin, plan: ModelPlan | None) -> PlannedStep:
    if plan is None:
        return PlannedStep(pin)
    return PlannedStep(
        pin,
        plan.versions.get(pin.version),
        plan.retried.get(pin.version, 0.0),
        plan.quarantined.get(pin.version, ""),
    )


def policy_versions(
    entry: ModelEntry, present: Collection[int], *, explicit: bool
) -> tuple[int, ...]:
    """The versions that the model's policy serves of those present, ascending."""
    policy = entry.config.version_policy
    if explicit and policy == VersionPolicy():
        return ()
    return served_versions(policy, present)


def wanted_versions(now: ModelState, by_policy: Collection[int]) -> tuple[int, ...]:
    """The versions to serve, ascending: the policy's, as overruled, and whatever has an alias.

    The last version that was stable is kept, too, so that a rollback finds it warm.
    """
    warm = set(now.aliases.values()) | set(now.former[-1:])
    return tuple(sorted(((set(by_policy) | warm) - now.unloaded) | now.loaded))


def tried_version(now: ModelState) -> tuple[int, ...]:
    """The candidate of a rollout in progress: it must be at hand, wherever it is loaded."""
    rollout = in_progress(now)
    return () if rollout is None else (rollout.candidate,)


def _plan(
    entry: ModelEntry, now: ModelState, outlook: Outlook, pinned: Collection[int] = ()
) -> ModelPlan:
    kept_out = outlook.quarantined.get(entry.name, {})
    standing = outlook.standings.get(entry.name, UNKNOWN).without(kept_out)
    available = entry.versions
    if outlook.available is not None:
        available = outlook.available.get(entry.name, {})
    held = available.keys() & outlook.held.get(entry.name, ())
    loadable = available.keys() - standing.failed or held or available.keys()
    by_policy = policy_versions(entry, loadable, explicit=outlook.explicit)
    wanted = [version for version in wanted_versions(now, by_policy) if version in available]
    rollout = _rollout(now, available)
    split = mirror = None
    if rollout is None:
        default = _default(entry, now, wanted, standing)
    else:
        candidate = rollout.candidate
        others = [version for version in wanted if version != candidate]
        default = _default(entry, now, others if now.stable is None else wanted, standing)
        if rollout.kind is not Kind.SHADOW:
            wanted = sorted({*wanted, candidate})
        watched = rollout.phase is Phase.WATCHING and rollout.stable in wanted
        if default is not None and (watched or default != candidate):
            split, mirror = split_of(rollout), mirror_of(rollout, available[candidate])
    steps_only = sorted({*pinned} & available.keys() - {*wanted})
    wanted = sorted({*wanted, *steps_only})
    return ModelPlan(
        name=entry.name,
        versions={version: available[version] for version in wanted},
        default=default,
        aliases={alias: one for alias, one in sorted(now.aliases.items()) if one in wanted},
        config=entry.config,
        pinned=now.stable is not None,
        accepted=tuple(sorted(now.accepted)),
        split=split,
        mirror=mirror,
        declared={
            version: signature
            for version, signature in sorted(outlook.declared.get(entry.name, {}).items())
            if version in {*wanted, *tried_version(now)}
        },
        retried={
            version: at
            for version, at in outlook.retried.get(entry.name, {}).items()
            if version in wanted
        },
        quarantined=dict(sorted(kept_out.items())),
        steps_only=tuple(steps_only),
    )


def _rollout(now: ModelState, available: Collection[int]) -> Rollout | None:
    """The one in progress, if its candidate may be loaded.

    A record that cannot be read is none: then stable serves alone.
    """
    rollout = in_progress(now)
    if rollout is None:
        return None
    loadable = rollout.candidate in available and rollout.candidate not in now.unloaded
    return rollout if loadable else None


def _default(
    entry: ModelEntry, now: ModelState, wanted: Sequence[int], standing: Standing
) -> int | None:
    if now.stable is not None:
        return now.stable if now.stable in wanted else None
    proven = (standing.serving | {standing.default}) - standing.failed
    candidates = [version for version in wanted if version in proven] or wanted
    configured = entry.config.default_version
    return configured if configured in candidates else max(candidates, default=None)
