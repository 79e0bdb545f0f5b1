"""Calls the installed featurizers in the monitor.

A plug-in is named by an entry point of the group `penstock.monitoring.samples.featurizer.GROUP`.
Its features are logged and watched for drift like inputs.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .featurizer import GROUP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .featurizer import Featurizer
    from .samples import BatchSample

LOG = logging.getLogger("penstock.monitor")

#: Most features of one input, by all plug-ins together.
MAX_FEATURES: Final = 64
#: Inputs whose feature names are remembered; a full memory is cleared.
MAX_INPUTS: Final = 10_000

#: Model, input, dtype and shape of a row.
Input = tuple[str, str, str, tuple[int, ...]]


class Featurizers:
    """The featurizers by name; a failing one is not called any more.

    Args:
        plugins: The featurizers by name.
    """

    def __init__(self, plugins: Mapping[str, Featurizer]) -> None:
        self._plugins = dict(plugins)
        self._names: dict[tuple[str, Input], tuple[str, ...]] = {}

    @classmethod
    def installed(cls) -> Featurizers:
        """The featurizers that are installed in this environment."""
        found: dict[str, Featurizer] = {}
        for entry in entry_points(group=GROUP):
            try:
                found[entry.name] = entry.load()()
            except BaseException:  # a plug-in may raise anything; the others go on
                LOG.exception("featurizer %s cannot be loaded", entry.name)
        return cls(found)

    def extend(self, samples: Sequence[BatchSample]) -> Sequence[BatchSample]:
        """The samples with features, each called ``input.feature``, behind their inputs."""
        if not self._plugins:
            return samples
        return [self._extended(sample) for sample in samples]

    def _extended(self, sample: BatchSample) -> BatchSample:
        names, arrays = list(sample.input_names), list(sample.inputs)
        for name, rows in zip(sample.input_names, sample.inputs, strict=True):
            if rows is None or rows.shape[:1] != (sample.rows,):
                continue
            left = MAX_FEATURES
            for plugin in list(self._plugins):
                made = self._ask(plugin, sample.model, name, rows)[:left]
                left -= len(made)
                names += [f"{name}.{feature}" for feature, _ in made]
                arrays += [values for _, values in made]
        made_names = tuple(names[len(sample.input_names) :])
        return replace(sample, input_names=tuple(names), inputs=arrays, featured=made_names)

    def _ask(
        self, plugin: str, model: str, name: str, rows: NDArray[Any]
    ) -> list[tuple[str, NDArray[Any]]]:
        try:
            names = self._called(plugin, (model, name, str(rows.dtype), rows.shape[1:]))
            if not names:
                return []
            values = np.asarray(self._plugins[plugin].features(rows), np.float64)
            if values.shape != (len(rows), len(names)):
                raise ValueError(
                    f"features have the shape {values.shape}, expected {(len(rows), len(names))}"
                )
        except BaseException:  # a plug-in may raise anything; the others go on
            LOG.exception("featurizer %s failed and is left out from now on", plugin)
            del self._plugins[plugin]
            return []
        return list(zip(names, np.ascontiguousarray(values.T), strict=True))

    def _called(self, plugin: str, of: Input) -> tuple[str, ...]:
        """Names of a plug-in's features of an input; the plug-in is asked once."""
        known = self._names.get((plugin, of))
        if known is None:
            if len(self._names) >= MAX_INPUTS:
                self._names.clear()
            known = tuple(map(str, self._plugins[plugin].names(*of)))
            self._names[plugin, of] = known
        return known
