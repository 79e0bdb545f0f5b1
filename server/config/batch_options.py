"""Options of batch jobs that the server runs."""

# ruff: noqa: RUF009  option() is dataclasses.field() with the metadata of an option
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003  msgspec reads the annotations
from typing import Annotated, Literal

import msgspec

from .option import option


@dataclass(frozen=True)
class BatchOptions:
    """The part of `penstock.server.config.config.ServerConfig` about batch jobs."""

    batch_root: Path | None = option(
        None,
        "Directory below which batch jobs of the server read and write files; without it there "
        "are none.",
    )
    batch_jobs: Annotated[int, msgspec.Meta(ge=1, le=16)] = option(
        1, "Batch jobs of the server that run at a time, each in a process of its own."
    )
    batch_priority: Literal["idle", "low"] = option(
        "idle",
        "Of these: idle takes time that nobody else wants, low a little of the rest.",
    )
    batch_queue: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = option(
        100, "Batch jobs of the server that wait or run, at most."
    )
