"""The ``[runtime]`` settings of a scikit-learn model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SklearnSettings:
    """What the owner of a model knows and its file does not say.

    Attributes:
        text_columns: Names of columns that are texts.
        batch_axis: Whether rows of several requests may share a run; found out when absent.
    """

    text_columns: tuple[str, ...] = ()
    batch_axis: bool | None = None
