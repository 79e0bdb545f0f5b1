"""Reads from the target on disk which shadows are wanted.

Of each plan only what concerns a shadow is decoded: the types that the rest stands for bring numpy,
and the process that only starts and counts stays small without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from penstock.monitoring.files.decoding import pack, unpack


@dataclass(frozen=True, slots=True)
class Wanted:
    """One candidate to run.

    Attributes:
        rollout: Id of the rollout that it is for.
        model: Name of the model.
        primary: The version that answers; ``None`` if nobody does.
        candidate: The version to run.
        target: A target with the plan of this model, and then of the models of its steps, encoded.
        essence: Values that a runner depends on; it starts anew when they change.
    """

    rollout: str
    model: str
    primary: int | None
    candidate: int
    target: bytes
    essence: tuple[Any, ...]


class _Packed(msgspec.Struct):
    number: int
    models: list[msgspec.Raw]


class _Mirror(msgspec.Struct):
    rollout: str
    candidate: int
    directory: str | None


class _Pin(msgspec.Struct):
    model: str
    version: int


class _Step(msgspec.Struct):
    pin: _Pin
    directory: str | None


class _Plan(msgspec.Struct):
    name: str
    versions: dict[int, str]
    default: int | None
    accepted: tuple[int, ...]
    config: msgspec.Raw
    mirror: _Mirror | None = None
    steps: dict[int, tuple[_Step, ...]] = {}


def decode_wanted(data: bytes) -> dict[str, Wanted]:
    """The shadows that a target wants, by rollout.

    Raises:
        penstock.monitoring.files.decoding.ContentError: It is no target.
    """
    found = {}
    packed_models = unpack(_Packed, data, "the target").models
    plans = [unpack(_Plan, bytes(packed), "the target") for packed in packed_models]
    for plan, packed in zip(plans, packed_models, strict=True):
        if (mirror := plan.mirror) is not None:
            found[mirror.rollout] = Wanted(
                mirror.rollout,
                plan.name,
                plan.default,
                mirror.candidate,
                pack(_Packed(1, [packed, *_models_of_steps(plan, plans, packed_models)])),
                _essence(plan, mirror),
            )
    return found


def _models_of_steps(
    plan: _Plan, plans: list[_Plan], packed: list[msgspec.Raw]
) -> list[msgspec.Raw]:
    names = {step.pin.model for steps in plan.steps.values() for step in steps} - {plan.name}
    return [raw for one, raw in zip(plans, packed, strict=True) if one.name in names]


def _essence(plan: _Plan, mirror: _Mirror) -> tuple[Any, ...]:
    home = None if plan.default is None else plan.versions.get(plan.default)
    return (
        *(plan.name, plan.default, home, mirror.candidate, mirror.directory),
        *(bytes(plan.config), plan.accepted),
        *((number, pack(steps)) for number, steps in sorted(plan.steps.items())),
    )
