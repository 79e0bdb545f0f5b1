"""``model.toml``: the configuration of one model. Every key is optional.

platform = "onnx_onnxv1"
version_policy = { latest = 2 }      # or { specific = [1, 4] }, "explicit", or "all", the default
default_version = 4                  # the highest one otherwise
threads = 1                          # inside one run of the model
signature = "compatible"             # or "any": new versions may break clients
on_push = "serve"                    # or "wait" for `penstock promote`, or start a "canary"
load_timeout_seconds = 60            # and run_timeout_seconds, as the server has them
segments = ["country", "header:x-plan"]   # see `penstock.server.config.segment_names`

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

[gates]                              # see `penstock.server.config.gates_options`
golden = 1

[quality.fields.age]                 # see `penstock.server.config.quality_options`
min = 0
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping  # noqa: TC003  msgspec reads the annotations
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from penstock.batching.options import BatchingOptions
from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.files.config_file import (
    MAX_NUMBER,
    ConfigFileError,
    parse_toml,
    read_bounded,
)
from penstock.monitoring.files.decoding import convert
from penstock.monitoring.files.wording import shown
from penstock.monitoring.quality.rules import QualityOptions
from penstock.server.files.config_error import ConfigError
from penstock.server.rollout.options import RolloutOptions, parse_rollout

from .batching_options import parse_batching
from .drift_options import parse_monitoring
from .feedback_options import parse_feedback
from .gates_options import GatesOptions, parse_gates
from .model_log import LogOptions, parse_log
from .process_options import ProcessOptions, parse_process
from .quality_options import parse_quality
from .runtime_settings import check_runtime
from .segment_names import parse_segments
from .size_limits import Timeout
from .version_policy import VersionPolicy

if TYPE_CHECKING:
    from pathlib import Path

#: Threads of one run: more than any machine that runs onnxruntime well has cores.
_MAX_THREADS: Final = 256
_MAX_SPECIFIC: Final = 10_000
_POLICY: Final = "'all', { latest = 2 }, { specific = [1, 4] } or 'explicit'"
_Platform = Annotated[str, msgspec.Meta(description="the name of a runtime, such as 'onnx_onnxv1'")]
#: A version is a directory name of at most 18 digits, and TOML here has numbers of 16.
_Version = Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model's configuration; the defaults are those of a model without the file.

    Attributes:
        platform: The runtime to use; by default the first that finds its files.
        version_policy: Choice of the versions that are served.
        default_version: Version that answers when none is named.
        threads: Threads inside one run.
        signature: ``compatible`` refuses versions that clients of the one that serves would fail
            with, ``any`` serves them.
        on_push: ``serve``: a new version answers by itself, ``wait``: it waits for an operator,
            ``canary``: its canary starts by itself; by default as the server has it.
        batching: Bounds and wishes of its batches.
        settings: For the runtime, unchecked.
        rollout: Options of its rollouts where nobody says otherwise.
        monitoring: Options of the drift monitor.
        feedback: Options of comparing its predictions with labels.
        quality: Rules on its inputs.
        log: Parts of its predictions that may be kept.
        gates: Gates that a version must pass before it may serve.
        segments: Inputs and headers whose values divide its traffic into segments.
        isolation: ``process`` or ``worker``; by default what the runtime wants.
        process: The processes of the model, if it is isolated.
        load_timeout_seconds: Seconds that loading a version may take; by default as the server has
            it.
        run_timeout_seconds: Seconds that a run may take; by default as the server has it.
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
    gates: GatesOptions = field(default_factory=GatesOptions)
    segments: tuple[str, ...] = ()
    isolation: str | None = None
    process: ProcessOptions = field(default_factory=ProcessOptions)
    load_timeout_seconds: float | None = None
    run_timeout_seconds: float | None = None


class _Versions(msgspec.Struct, forbid_unknown_fields=True):
    """``version_policy`` where it is a table: one of the keys."""

    latest: _Version | None = None
    specific: (
        Annotated[
            tuple[_Version, ...],
            msgspec.Meta(
                max_length=_MAX_SPECIFIC, description=f"a list of at most {_MAX_SPECIFIC} versions"
            ),
        ]
        | None
    ) = None


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    """The file as it is written; see `ModelConfig`. Each table of it has a decoder of its own."""

    platform: _Platform | None = None
    version_policy: Annotated[
        Literal["all", "explicit"] | _Versions, msgspec.Meta(description=_POLICY)
    ] = "all"
    default_version: _Version | None = None
    threads: Annotated[int, msgspec.Meta(ge=1, le=_MAX_THREADS)] = 1
    signature: Literal["compatible", "any"] = "compatible"
    on_push: Literal["serve", "wait", "canary"] | None = None
    isolation: Literal["process", "worker"] | None = None
    load_timeout_seconds: Timeout | None = None
    run_timeout_seconds: Timeout | None = None
    segments: Any = ()
    batching: Any = {}
    runtime: dict[str, Any] = {}
    rollout: Any = {}
    monitoring: Any = {}
    feedback: Any = {}
    quality: Any = {}
    log: Any = {}
    gates: Any = {}
    process: Any = {}


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
    said = convert(_Table, content, source, noun="a table", error=ConfigError)
    check_runtime(said.platform, said.runtime, source)
    return ModelConfig(
        platform=said.platform,
        version_policy=_version_policy(said.version_policy, source),
        default_version=said.default_version,
        threads=said.threads,
        signature=said.signature,
        on_push=said.on_push,
        batching=parse_batching(said.batching, source),
        settings=said.runtime,
        rollout=parse_rollout(said.rollout, source),
        monitoring=parse_monitoring(said.monitoring, source),
        feedback=parse_feedback(said.feedback, source),
        quality=parse_quality(said.quality, source),
        log=parse_log(said.log, source),
        gates=parse_gates(said.gates, source),
        segments=parse_segments(said.segments, source),
        isolation=said.isolation,
        process=parse_process(said.process, source),
        load_timeout_seconds=said.load_timeout_seconds,
        run_timeout_seconds=said.run_timeout_seconds,
    )


def _version_policy(said: str | _Versions, source: str) -> VersionPolicy:
    if isinstance(said, str):
        return VersionPolicy(explicit=said == "explicit")
    match said.latest, said.specific:
        case int(latest), None:
            return VersionPolicy(latest=latest)
        case None, (_, *_) as versions:
            return VersionPolicy(specific=versions)
    written = {key: one for key, one in msgspec.structs.asdict(said).items() if one is not None}
    raise ConfigError(f"{source}: version_policy is {shown(written)}, expected {_POLICY}")
