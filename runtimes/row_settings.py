"""``[runtime]`` of ``model.toml`` for runtimes that are told what the rows of a model are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RowSettings:
    """``[runtime]`` of ``model.toml``.

    Attributes:
        batch_axis: Whether rows of several requests may share a run, by the owner's word; a probe
            decides without it.
    """

    batch_axis: bool | None = None
