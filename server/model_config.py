"""``model.toml``: what an operator says of one model. Everything in it is optional.

platform = "onnx_onnxv1"
version_policy = { latest = 2 }      # or { specific = [1, 4] }, "explicit", or "all", the default
default_version = 4                  # the highest one otherwise
threads = 1                          # inside one run of the model
signature = "compatible"             # or "any": new versions may break clients

[batching]
slo_milliseconds = 50                # answers later than this are worthless
max_batch_size = 64                  # and the other fields of BatchingOptions

[runtime]                            # handed to the runtime as it is
graph_optimization_level = "all"

[rollout]                            # see `penstock.server.rollout.options`
hold = "5m"

[monitoring]                         # see `penstock.server.drift.options`
features = ["age", "income"]

[feedback]                           # see `penstock.server.feedback.options`
positive = 1

[log]                                # see `penstock.server.model_log`
drop = ["name"]

[quality.fields.age]                 # see `penstock.server.quality.options`
min = 0
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from penstock.batching.options import BatchingOptions
from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.quality.rules import QualityOptions
from penstock.monitoring.truth.options import FeedbackOptions

from .drift.options import parse_monitoring
from .feedback.options import parse_feedback
from .model_log import LogOptions, parse_log
from .options import ConfigError, did_you_mean
from .quality.options import parse_quality
from .registry.version_policy import VersionPolicy
from .rollout.options import RolloutOptions, parse_rollout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MILLISECONDS: Final = "slo_milliseconds"
_KEYS: Final = (
    "platform",
    "version_policy",
    "default_version",
    "threads",
    "signature",
    "batching",
    "runtime",
    "rollout",
    "monitoring",
    "feedback",
    "quality",
    "log",
)
_MAX_FILE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model's configuration; the defaults are those of a model without the file.

    Attributes:
        platform: The runtime to use; by default the first that finds its files.
        version_policy: Which versions are served.
        default_version: Which one answers when none is named.
        threads: Threads inside one run.
        signature: ``compatible`` refuses versions that clients of the one that serves would fail
            with, ``any`` serves them.
        batching: Bounds and wishes of its batches.
        settings: For the runtime, unchecked.
        rollout: What its rollouts have where nobody says otherwise.
        monitoring: How it is watched for drift.
        feedback: How its predictions are compared with labels.
        quality: What is declared of its inputs.
        log: What of its predictions may be kept.
    """

    platform: str | None = None
    version_policy: VersionPolicy = field(default_factory=VersionPolicy)
    default_version: int | None = None
    threads: int = 1
    signature: str = "compatible"
    batching: BatchingOptions = field(default_factory=BatchingOptions)
    settings: Mapping[str, Any] = field(default_factory=dict)
    rollout: RolloutOptions = field(default_factory=RolloutOptions)
    monitoring: DriftOptions = field(default_factory=DriftOptions)
    feedback: FeedbackOptions = field(default_factory=FeedbackOptions)
    quality: QualityOptions = field(default_factory=QualityOptions)
    log: LogOptions = field(default_factory=LogOptions)


def read_model_config(path: Path) -> ModelConfig:
    """Read a ``model.toml``.

    Raises:
        ConfigError: It cannot be read or says something that is not understood.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES + 1)
        if len(text) > _MAX_FILE_BYTES:
            raise ConfigError(f"{path}: larger than {_MAX_FILE_BYTES} bytes")
        content = tomllib.loads(text.decode())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    return parse_model_config(content, str(path))


def parse_model_config(content: Mapping[str, Any], source: str) -> ModelConfig:
    """Check decoded TOML; `source` names it in errors.

    Raises:
        ConfigError: An unknown key or a bad value.
    """
    _check_keys(content, _KEYS, source, "")
    platform = content.get("platform")
    if platform is not None and not isinstance(platform, str):
        raise _bad(source, "platform", platform, "the name of a runtime, such as 'onnx_onnxv1'")
    settings = content.get("runtime", {})
    if not isinstance(settings, dict):
        raise _bad(source, "runtime", settings, "a table")
    signature = content.get("signature", "compatible")
    if signature not in ("compatible", "any"):
        raise _bad(source, "signature", signature, "'compatible' or 'any'")
    default = content.get("default_version")
    return ModelConfig(
        platform=platform,
        version_policy=_version_policy(content.get("version_policy", "all"), source),
        default_version=None if default is None else _whole(source, "default_version", default),
        threads=_whole(source, "threads", content.get("threads", 1)),
        signature=signature,
        batching=_batching(content.get("batching", {}), source),
        settings=settings,
        rollout=parse_rollout(content.get("rollout", {}), source),
        monitoring=parse_monitoring(content.get("monitoring", {}), source),
        feedback=parse_feedback(content.get("feedback", {}), source),
        quality=parse_quality(content.get("quality", {}), source),
        log=parse_log(content.get("log", {}), source),
    )


def _version_policy(value: Any, source: str) -> VersionPolicy:
    match value:
        case "all":
            return VersionPolicy()
        case "explicit":
            return VersionPolicy(explicit=True)
        case {"latest": latest, **rest} if not rest:
            return VersionPolicy(latest=_whole(source, "version_policy.latest", latest))
        case {"specific": [_, *_] as versions, **rest} if not rest:
            key = "version_policy.specific"
            return VersionPolicy(specific=tuple(_whole(source, key, one) for one in versions))
        case _:
            expected = "'all', { latest = 2 }, { specific = [1, 4] } or 'explicit'"
            raise _bad(source, "version_policy", value, expected)


def _batching(table: Any, source: str) -> BatchingOptions:
    if not isinstance(table, dict):
        raise _bad(source, "batching", table, "a table")
    kinds = {one.name: type(one.default) for one in fields(BatchingOptions)}
    del kinds["slo_seconds"]
    _check_keys(table, (_MILLISECONDS, *kinds), source, "batching.")
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name == _MILLISECONDS:
            values["slo_seconds"] = _number(source, f"batching.{name}", value) / 1000
        elif kinds[name] is float:
            values[name] = _number(source, f"batching.{name}", value)
        elif type(value) is kinds[name]:
            values[name] = value
        else:
            raise _bad(source, f"batching.{name}", value, _WORDS[kinds[name]])
    try:
        return BatchingOptions(**values)
    except ValueError as error:
        raise ConfigError(f"{source}: batching: {error}") from error


_WORDS: Final[Mapping[type, str]] = {int: "a whole number", bool: "true or false"}


def _number(source: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _bad(source, key, value, "a number")
    return float(value)


def _whole(source: str, key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _bad(source, key, value, "a whole number, at least 1")
    return value


def _bad(source: str, key: str, value: Any, expected: str) -> ConfigError:
    return ConfigError(f"{source}: {key} is {value!r}, expected {expected}")


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], source: str, prefix: str) -> None:
    for name in table:
        if name not in known:
            hint = did_you_mean(name, list(known))
            raise ConfigError(f"{source}: unknown key {prefix}{name}{hint}")
