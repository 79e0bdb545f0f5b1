"""The numbered target: what every worker should serve."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.decoding import pack, unpack

from .plan import ModelPlan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Target:
    """What to serve.

    Attributes:
        number: Grows with every change; 0 is nobody's.
        models: By name.
    """

    number: int = 0
    models: Mapping[str, ModelPlan] = field(default_factory=dict)


def next_target(previous: Target, models: Mapping[str, ModelPlan]) -> Target:
    """The target for these models: the previous one if it says the same already."""
    if previous.number and previous.models == models:
        return previous
    return Target(previous.number + 1, models)


class _Packed(msgspec.Struct):
    """A target as it is written."""

    number: int
    models: list[ModelPlan]


def encode_target(target: Target) -> bytes:
    """Bytes for the link and for the run directory."""
    return pack(_Packed(target.number, list(target.models.values())))


def decode_target(data: bytes | memoryview) -> Target:
    """The reverse of `encode_target`.

    Raises:
        penstock.monitoring.files.decoding.ContentError: It is not what was written.
    """
    packed = unpack(_Packed, data, "the target")
    return Target(packed.number, {plan.name: plan for plan in packed.models})


def read_target(path: Path) -> Target:
    """The target kept in a file; number 0 if there is none."""
    try:
        return decode_target(path.read_bytes())
    except FileNotFoundError:
        return Target()


def write_target(path: Path, target: Target) -> None:
    """Replace the file at once, so that no reader sees half of it."""
    replace_file(path, encode_target(target), synced=False)
