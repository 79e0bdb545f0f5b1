"""The error of a target that a host could not serve in full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.batching.contained import words

if TYPE_CHECKING:
    from collections.abc import Mapping


class ApplyFailed(Exception):
    """Some models of a target could not be served as ordered.

    Attributes:
        models: The errors, by name of the model.
    """

    def __init__(self, models: Mapping[str, Exception]) -> None:
        super().__init__("; ".join(f"model {name}: {words(e)}" for name, e in models.items()))
        self.models = models
