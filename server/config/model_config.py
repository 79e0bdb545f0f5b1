"""``model.toml``: the configuration of one model. Every key is optional.

platform = "onnx_onnxv1"
version_policy = { latest = 2 }      # or { specific = [1, 4] }, "explicit", or "all", the default
default_version = 4                  # the highest one otherwise
threads = 1                          # inside one run of the model
signature = "compatible"             # or "any": new versions may break clients
on_push = "serve"                    # or "wait": a new version waits for `penstock promote`
load_timeout_seconds = 60            # and run_timeout_seconds, as the server has them
segments = ["country", "plan"]       # see `penstock.server.config.segment_names`

[batching]
slo_milliseconds = 50                # answers later than this are worthless
max_batch_size = 64                  # and the other fields of BatchingOptions

[runtime]                            # handed to the runtime as it is
graph_optimization_level = "all"

isolation = "process"                # see `penstock.server.config.process_options`
[process]
count = 2
[rollout]                            # see `penstock.server.rollout.options`
hold = "5m"
[monitoring]                         # see `penstock.server.config.drift_options`
features = ["age", "income"]

[feedback]                           # see `penstock.server.config.feedback_options`
positive = 1

[log]                                # see `penstock.server.config.model_log`
drop = ["name"]

[quality.fields.age]                 # see `penstock.server.config.quality_options`
min = 0
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping  # noqa: TC003  msgspec reads the annotations
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from penstock.batching.options import BatchingOptions
from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.files.config_file import ConfigFileError, parse_toml, read_bounded
from penstock.monitoring.quality.rules import QualityOptions
from penstock.runtimes.contract import ModelLoadError
from penstock.runtimes.discovery import only_built_in, runtimes
from penstock.runtimes.onnx_settings import OnnxSettings
from penstock.server.files.option_decoder import ConfigError
from penstock.server.rollout.options import RolloutOptions, parse_rollout

from .batching_options import parse_batching
from .checks import bad, check_keys, whole
from .drift_options import parse_monitoring
from .feedback_options import parse_feedback
from .model_log import LogOptions, parse_log
from .process_options import ProcessOptions, parse_isolation, parse_process
from .quality_options import parse_quality
from .segment_names import parse_segments
from .size_limits import TIMEOUT_KEYS, timeouts_of
from .version_policy import ON_PUSH, VersionPolicy

if TYPE_CHECKING:
    from pathlib import Path

_KEYS: Final = (
    "platform",
    "version_policy",
    "default_version",
    "threads",
    "signature",
    "on_push",
    "segments",
    "batching",
    "runtime",
    "rollout",
    "monitoring",
    "feedback",
    "quality",
    "log",
    "isolation",
    "process",
    *TIMEOUT_KEYS,
)
_ONNX: Final = "onnx_onnxv1"
#: Threads of one run: more than any machine that runs onnxruntime well has cores.
MAX_THREADS: Final = 256
#: A version is a directory name of at most 18 digits, and TOML here has numbers of 16.
_MAX_VERSION: Final = 2**53
_MAX_SPECIFIC: Final = 10_000


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
        on_push: ``serve``: a new version answers by itself, ``wait``: it waits for an operator;
            ``None`` leaves it to the server's option.
        batching: Bounds and wishes of its batches.
        settings: For the runtime, unchecked.
        rollout: What its rollouts have where nobody says otherwise.
        monitoring: How it is watched for drift.
        feedback: How its predictions are compared with labels.
        quality: What is declared of its inputs.
        log: What of its predictions may be kept.
        segments: Inputs whose values divide its traffic into segments.
        isolation: ``process``, ``worker``, or ``None`` for what the runtime wants.
        process: The processes of the model, if it is isolated.
        load_timeout_seconds: How long loading a version may take; by default as the server has it.
        run_timeout_seconds: How long a run may take; by default as the server has it.
    """

    platform: str | None = None
    version_policy: VersionPolicy = field(default_factory=VersionPolicy)
    default_version: int | None = None
    threads: int = 1
    signature: str = "compatible"
    on_push: str | None = None
    batching: BatchingOptions = field(default_factory=BatchingOptions)
    settings: Mapping[str, Any] = field(default_factory=dict)
    rollout: RolloutOptions = field(default_factory=RolloutOptions)
    monitoring: DriftOptions = field(default_factory=DriftOptions)
    feedback: FeedbackOptions = field(default_factory=FeedbackOptions)
    quality: QualityOptions = field(default_factory=QualityOptions)
    log: LogOptions = field(default_factory=LogOptions)
    segments: tuple[str, ...] = ()
    isolation: str | None = None
    process: ProcessOptions = field(default_factory=ProcessOptions)
    load_timeout_seconds: float | None = None
    run_timeout_seconds: float | None = None


def read_model_config(path: Path) -> ModelConfig:
    """Read a ``model.toml``.

    Raises:
        ConfigError: It cannot be read or says something that is not understood.
    """
    try:
        content = read_bounded(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    return decode_model_config(content, str(path))


def decode_model_config(content: bytes, source: str) -> ModelConfig:
    """Check the content of a ``model.toml``; `source` names it in errors.

    Raises:
        ConfigError: It is not valid TOML or says something that is not understood.
    """
    try:
        decoded = parse_toml(content)
    except ConfigFileError as error:
        raise ConfigError(f"{source}: {error}") from error
    return parse_model_config(decoded, source)


def config_digest(config: ModelConfig) -> str:
    """Names a configuration, the same in every process: a failed load says with which it was."""
    canonical = json.dumps(asdict(config), sort_keys=True, default=str)
    return f"{zlib.crc32(canonical.encode()):08x}"


def parse_model_config(content: Mapping[str, Any], source: str) -> ModelConfig:
    """Check decoded TOML; `source` names it in errors.

    Raises:
        ConfigError: An unknown key or a bad value.
    """
    check_keys(content, _KEYS, source, "")
    platform = content.get("platform")
    if platform is not None and not isinstance(platform, str):
        raise bad(source, "platform", platform, "the name of a runtime, such as 'onnx_onnxv1'")
    settings = content.get("runtime", {})
    if not isinstance(settings, dict):
        raise bad(source, "runtime", settings, "a table")
    signature = content.get("signature", "compatible")
    if signature not in ("compatible", "any"):
        raise bad(source, "signature", signature, "'compatible' or 'any'")
    on_push = content.get("on_push")
    if on_push not in (None, *ON_PUSH):
        raise bad(source, "on_push", on_push, "'serve' or 'wait'")
    _check_runtime(platform, settings, source)
    default = content.get("default_version")
    return ModelConfig(
        platform=platform,
        version_policy=_version_policy(content.get("version_policy", "all"), source),
        default_version=None if default is None else _version(source, "default_version", default),
        threads=whole(source, "threads", content.get("threads", 1), MAX_THREADS),
        signature=signature,
        on_push=on_push,
        batching=parse_batching(content.get("batching", {}), source),
        settings=settings,
        rollout=parse_rollout(content.get("rollout", {}), source),
        monitoring=parse_monitoring(content.get("monitoring", {}), source),
        feedback=parse_feedback(content.get("feedback", {}), source),
        quality=parse_quality(content.get("quality", {}), source),
        log=parse_log(content.get("log", {}), source),
        segments=parse_segments(content.get("segments", []), source),
        isolation=parse_isolation(content.get("isolation"), source),
        process=parse_process(content.get("process", {}), source),
        **timeouts_of(content, source),
    )


def _version_policy(value: Any, source: str) -> VersionPolicy:
    match value:
        case "all":
            return VersionPolicy()
        case "explicit":
            return VersionPolicy(explicit=True)
        case {"latest": latest, **rest} if not rest:
            return VersionPolicy(latest=_version(source, "version_policy.latest", latest))
        case {"specific": [_, *_] as versions, **rest} if not rest:
            key = "version_policy.specific"
            if len(versions) > _MAX_SPECIFIC:
                raise bad(source, key, versions, f"at most {_MAX_SPECIFIC} versions")
            return VersionPolicy(specific=tuple(_version(source, key, one) for one in versions))
        case _:
            expected = "'all', { latest = 2 }, { specific = [1, 4] } or 'explicit'"
            raise bad(source, "version_policy", value, expected)


def _version(source: str, key: str, value: Any) -> int:
    return whole(source, key, value, _MAX_VERSION)


def _check_runtime(platform: str | None, settings: Mapping[str, Any], source: str) -> None:
    """What can be known of ``platform`` and ``[runtime]`` before a version is loaded with them.

    With plug-ins installed only they know their names and settings: then a load says it.
    """
    if platform not in (None, _ONNX):
        if only_built_in() and platform not in runtimes():
            known = ", ".join(sorted(map(repr, runtimes()), key=lambda name: name != repr(_ONNX)))
            raise bad(source, "platform", platform, f"{known}: the installed ones")
    elif platform == _ONNX or only_built_in():
        try:
            OnnxSettings.parse(settings)
        except ModelLoadError as error:
            raise ConfigError(f"{source}: runtime: {error}") from error
