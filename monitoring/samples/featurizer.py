"""Plug-ins that make features of tensors: what an embedding is about, in few numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Entry-point group; each names a class without arguments.
GROUP: Final = "penstock.featurizers"


class Featurizer(Protocol):
    """Makes features of the rows of an input, in the monitor process.

    Rows over 4 KiB do not travel there; of these, only `penstock.monitoring.metrics.derived` is
    known.
    """

    def names(self, model: str, tensor: str, dtype: str, shape: tuple[int, ...]) -> tuple[str, ...]:
        """What the features of an input are called; empty if it is none of its business.

        Args:
            model: Name of the model.
            tensor: Name of the input.
            dtype: As NumPy calls it: ``float32``, ``object`` for texts.
            shape: Shape of one row.
        """
        ...

    def features(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """One row of numbers for each row, in the order of `names`; NaN is missing.

        Args:
            rows: Axis 0 is rows.
        """
        ...
