"""The columns of a version and their names, found from its requests and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from penstock.monitoring.metrics.derived import SCALARS, names_of

from .baseline_files import in_order
from .features import (
    MOST_FEATURES,
    Feature,
    column,
    has_classes,
    input_features,
    output_features,
    tables,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from penstock.monitoring.samples.samples import Array, BatchSample

    from .features import Column


class Schema:
    """The columns of one version; grows when a tensor is seen for the first time.

    Args:
        subject: Input that names the subject of a row: no name of a person becomes a category.
    """

    def __init__(self, subject: str = "") -> None:
        self._subject = subject
        self._features: dict[tuple[bool, str], list[Feature]] = {}
        self._featured: set[str] = set()

    @property
    def names(self) -> list[str]:
        """Of the inputs, in the order of the model's; without those that plug-ins make."""
        return [
            one.name
            for (output, tensor), found in self._features.items()
            if not output and tensor not in self._featured
            for one in found
        ]

    @property
    def outputs(self) -> list[str]:
        """Of the outputs."""
        return [
            one.name for (output, _), found in self._features.items() if output for one in found
        ]

    def columns(self, samples: Sequence[BatchSample]) -> Iterator[tuple[Feature, Column]]:
        """Every feature with its values in these batches of the same version.

        Args:
            samples: None of them of errors.
        """
        for sample in samples:
            self._featured.update(sample.featured)
        for output in (False, True):
            gathered = _gather(samples, output=output)
            if not output:
                gathered.pop(self._subject, None)
            for name, arrays in gathered.items():
                features = self._features.get((output, name))
                if features is None:
                    features = self._discover(name, arrays, gathered, output=output)
                batches = tables(arrays)
                if batches:
                    partial = not output and _stands_for_rows(name, gathered)
                    for feature in features:
                        values = column(feature, batches)
                        # Not every such row was looked at; that is no missing value.
                        yield feature, values[~np.isnan(values)] if partial else values

    def _discover(
        self, name: str, arrays: list[Array], gathered: Mapping[str, list[Array]], *, output: bool
    ) -> list[Feature]:
        if output:
            classes = has_classes([others[0] for others in gathered.values()])
            found = output_features(name, arrays[0], classes=classes)
        else:
            found = input_features(name, arrays[0])
        room = MOST_FEATURES - sum(map(len, self._features.values()))
        self._features[output, name] = found[: max(0, room)]
        return self._features[output, name]


def rename(
    names: Sequence[str], wanted: Sequence[str], built: Sequence[str]
) -> tuple[dict[str, str], str]:
    """Choose the names of the inputs.

    Args:
        names: Names of the model, in its order.
        wanted: Names that the operator gives; may be empty.
        built: Inputs of the built baseline; empty without one.

    Returns:
        New names by old ones, and why the baseline does not fit; empty if it does.
    """
    if built and set(built) <= set(names):
        return {}, ""
    if built and len(built) == len(names):
        return dict(zip(names, in_order(built, wanted), strict=True)), ""
    problem = ""
    if built:
        problem = f"the baseline has {len(built)} inputs, the model {len(names)}, named otherwise"
    if len(wanted) == len(names):
        return dict(zip(names, wanted, strict=True)), problem
    return {}, problem


def _stands_for_rows(name: str, gathered: Mapping[str, list[Array]]) -> bool:
    """Whether an input is a figure that a worker made of rows too large to travel."""
    stem, _, scalar = name.rpartition(".")
    return scalar in SCALARS and all(one in gathered for one in names_of(stem))


def _gather(samples: Sequence[BatchSample], *, output: bool) -> dict[str, list[Array]]:
    """Arrays by name; axis 0 is rows, in those of a model without a rows axis, too."""
    gathered: dict[str, list[Array]] = {}
    for sample in samples:
        rows = sample.offsets[-1] - sample.offsets[0]
        names = sample.output_names if output else sample.input_names
        arrays = sample.outputs if output else sample.inputs
        for name, array in zip(names, arrays, strict=False):
            if array is not None:
                whole = array if array.ndim and array.shape[0] == rows else array[None]
                gathered.setdefault(name, []).append(whole)
    return gathered
