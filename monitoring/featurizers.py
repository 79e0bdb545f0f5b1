"""Features of tensors, made in the monitor by plug-ins: what a picture or a text is about.

A plug-in is an entry point of the group ``penstock.featurizers``: a class without arguments, whose
objects are a `Featurizer`. What it gives is logged and watched for drift like an input.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .samples import BatchSample

LOG = logging.getLogger("penstock.monitor")

GROUP: Final = "penstock.featurizers"
#: Of one input, by all plug-ins together.
MAX_FEATURES: Final = 64


class Featurizer(Protocol):
    """Makes numbers of tensors."""

    def features(self, model: str, name: str, rows: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Features of an input: name to one number per row; empty for an input of no interest.

        Args:
            model: Name of the model.
            name: Of the input.
            rows: Axis 0 is rows; those over 4 KiB do not come here. Not to be changed.
        """
        ...


class Featurizers:
    """All plug-ins; one that fails is left out from then on.

    Args:
        plugins: By name.
    """

    def __init__(self, plugins: Mapping[str, Featurizer]) -> None:
        self._plugins = dict(plugins)

    @classmethod
    def installed(cls) -> Featurizers:
        """Those that are installed here."""
        found: dict[str, Featurizer] = {}
        for entry in entry_points(group=GROUP):
            try:
                found[entry.name] = entry.load()()
            except Exception:  # a plug-in may raise anything; the others go on
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
            if rows is None:
                continue
            for plugin in list(self._plugins):
                for feature, values in self._ask(plugin, sample.model, name, rows):
                    names.append(f"{name}.{feature}")
                    arrays.append(values)
        return replace(sample, input_names=tuple(names), inputs=arrays)

    def _ask(
        self, plugin: str, model: str, name: str, rows: NDArray[Any]
    ) -> list[tuple[str, NDArray[Any]]]:
        try:
            given = self._plugins[plugin].features(model, name, rows)
            found = [(str(one), np.asarray(values)) for one, values in given.items()]
            if any(values.shape != (len(rows),) for _, values in found):
                raise ValueError(f"expected {len(rows)} numbers for each feature")
        except Exception:  # a plug-in may raise anything; the others go on
            LOG.exception("featurizer %s failed and is left out from now on", plugin)
            del self._plugins[plugin]
            return []
        return found[:MAX_FEATURES]
