"""The numbered target: what every worker should serve."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgpack

from penstock.batching.options import BatchingOptions
from penstock.monitoring.files.atomic_file import replace_file
from penstock.server.config.drift_options import from_packed
from penstock.server.config.feedback_options import feedback_from_packed
from penstock.server.config.model_config import ModelConfig
from penstock.server.config.model_log import log_from_packed
from penstock.server.config.quality_options import quality_from_packed
from penstock.server.config.version_policy import VersionPolicy
from penstock.server.registry.manifest import signature_from_packed
from penstock.server.rollout.options import RolloutOptions
from penstock.server.rollout.traffic import Mirror, Split

from .plan import ModelPlan

if TYPE_CHECKING:
    from collections.abc import Mapping


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


def encode_target(target: Target) -> bytes:
    """Bytes for the link and for the run directory."""
    models = [asdict(plan) for plan in target.models.values()]
    packed = msgpack.packb({"number": target.number, "models": models}, default=str)
    return cast("bytes", packed)


def decode_target(data: bytes) -> Target:
    """The reverse of `encode_target`."""
    content = msgpack.unpackb(data, strict_map_key=False)
    plans = [_plan(packed) for packed in content["models"]]
    return Target(content["number"], {plan.name: plan for plan in plans})


def read_target(path: Path) -> Target:
    """The target kept in a file; number 0 if there is none."""
    try:
        return decode_target(path.read_bytes())
    except FileNotFoundError:
        return Target()


def write_target(path: Path, target: Target) -> None:
    """Replace the file at once, so that no reader sees half of it."""
    replace_file(path, encode_target(target), synced=False)


def _plan(packed: dict[str, Any]) -> ModelPlan:
    config = packed["config"]
    policy = config["version_policy"]
    specific = policy["specific"]
    return ModelPlan(
        name=packed["name"],
        versions={number: Path(path) for number, path in packed["versions"].items()},
        default=packed["default"],
        aliases=packed["aliases"],
        pinned=packed["pinned"],
        accepted=tuple(packed["accepted"]),
        split=_split(packed.get("split")),
        mirror=_mirror(packed.get("mirror")),
        declared={number: signature_from_packed(one) for number, one in packed["declared"].items()},
        retried=dict(packed.get("retried", {})),
        quarantined=dict(packed.get("quarantined", {})),
        config=ModelConfig(
            platform=config["platform"],
            version_policy=VersionPolicy(
                policy["latest"], specific and tuple(specific), policy["explicit"]
            ),
            default_version=config["default_version"],
            threads=config["threads"],
            signature=config["signature"],
            on_push=config["on_push"],
            batching=BatchingOptions(**config["batching"]),
            settings=config["settings"],
            rollout=RolloutOptions.from_packed(config["rollout"]),
            monitoring=from_packed(config["monitoring"]),
            feedback=feedback_from_packed(config["feedback"]),
            quality=quality_from_packed(config["quality"]),
            log=log_from_packed(config["log"]),
            load_timeout_seconds=config["load_timeout_seconds"],
            run_timeout_seconds=config["run_timeout_seconds"],
        ),
    )


def _split(packed: dict[str, Any] | None) -> Split | None:
    return None if packed is None else Split(**packed)


def _mirror(packed: dict[str, Any] | None) -> Mirror | None:
    if packed is None:
        return None
    directory = packed["directory"]
    return Mirror(**{**packed, "directory": None if directory is None else Path(directory)})
