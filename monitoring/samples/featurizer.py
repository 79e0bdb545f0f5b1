"""The contract of plug-ins that compute features of tensors: few numbers per row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Entry-point group; each names a class without arguments.
GROUP: Final = "penstock.featurizers"


class Featurizer(Protocol):
    """Computes features of the rows of an input, in the monitor process.

    Rows over 4 KiB are not sent to the monitor; only the figures of
    `penstock.monitoring.metrics.derived` are.
    """

    def names(self, model: str, tensor: str, dtype: str, shape: tuple[int, ...]) -> tuple[str, ...]:
        """Names of the features of an input; empty if the plug-in does not handle the input.

        Args:
            model: Name of the model.
            tensor: Name of the input.
            dtype: Name in NumPy: ``float32``, ``object`` for texts.
            shape: Shape of one row.
        """
        ...

    def features(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """One row of numbers for each row, in the order of `names`; NaN is missing.

        Args:
            rows: Axis 0 is rows.
        """
        ...
