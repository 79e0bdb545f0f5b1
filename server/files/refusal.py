"""Why a version is not taken."""

from __future__ import annotations

from penstock.runtimes.contract import ModelLoadError


class ModelRefused(ModelLoadError):
    """A version is broken or hostile.

    Attributes:
        reasons: Each names a file or a part of the model and says what is wrong with it.
    """

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons
