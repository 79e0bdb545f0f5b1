"""The steps of the pipelines in a target, with what is known of their versions. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003  msgspec reads the annotations

from penstock.server.pipelines.pins import Pin  # noqa: TC001  as above


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step of a pipeline.

    Attributes:
        pin: The step, and the version that runs it.
        directory: Directory from which that version is loaded; ``None`` if it is not there.
        retried: Time at which an operator last asked to try that version again, Unix seconds.
        kept_out: Reason for which that version is out of service; empty if it is not.
    """

    pin: Pin
    directory: Path | None = None
    retried: float = 0.0
    kept_out: str = ""
