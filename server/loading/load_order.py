"""The order to load a version, its checked files, and the loaded model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.server.config.size_limits import LOAD_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from penstock.batching.cost import CostTable
    from penstock.runtimes.contract import Array, Model, Signature
    from penstock.server.config.model_config import ModelConfig
    from penstock.server.pipelines.pipeline_runtime import StepModel

    from .memory_estimate import LoadMemory


@dataclass(frozen=True, slots=True)
class LoadOrder:
    """An order to load one version.

    Attributes:
        name: Name of the model.
        version: Number of the version.
        directory: Directory of the version, in the registry or a private copy.
        config: Configuration of the model.
        predecessor: Version and signature of what answers the model's clients now.
        accepted: Whether an operator takes it although it answers its golden requests otherwise or
            breaks clients of the predecessor.
        busy: Whether other models are served meanwhile.
        declared: The signature that its manifest promises, as it was when the copy was made.
        retried_at: Time at which an operator last asked to try it again, Unix seconds.
        limit_seconds: Seconds that loading may take.
        steps: The loaded models that the steps of a pipeline may name, by name and version.
    """

    name: str
    version: str
    directory: Path
    config: ModelConfig
    predecessor: tuple[str, Signature] | None = None
    accepted: bool = False
    busy: bool = False
    declared: Signature | None = None
    retried_at: float = 0.0
    limit_seconds: float = LOAD_TIMEOUT_SECONDS
    steps: Mapping[tuple[str, int], StepModel] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SoundCopy:
    """A private directory with exactly the files of a version, inspected.

    Attributes:
        directory: Directory of it.
        digest: Digest of its files.
        needed_bytes: Bytes of memory that loading it takes, by estimate.
        declared: The signature that the manifest promises, if it is known.
    """

    directory: Path
    digest: str
    needed_bytes: int
    declared: Signature | None = None


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that may serve, and the measurements of its load.

    Attributes:
        platform: Name of its runtime.
        model: The model.
        costs: Its run times, if they could be measured.
        memory: The memory that it took.
        known_inputs: Inputs of one row that it runs, if any are known.
        signature: The signature of the model, with all names of columns and classes that are known.
        processes: Number of its own processes; 0 if it runs in this one.
        digest: Digest of its files.
    """

    platform: str
    model: Model
    costs: CostTable | None
    memory: LoadMemory
    known_inputs: Sequence[Array | None] | None
    signature: Signature
    processes: int = 0
    digest: str = ""
