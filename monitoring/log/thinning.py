"""Fewer requests of a sample, chosen by their ids, so that what belongs together stays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final
from zlib import crc32

import numpy as np

if TYPE_CHECKING:
    from penstock.monitoring.samples import BatchSample

_SPAN: Final = 1 << 32
#: Sampling in the worker has picked low hashes: this spreads them over the whole span again.
_SPREAD: Final = 2_654_435_761


def thinned(sample: BatchSample, share: float) -> BatchSample:
    """About this share of the requests; failures stay."""
    if sample.error:
        return sample
    below = round(share * _SPAN)
    ids = sample.request_ids
    chosen = [index for index, one in enumerate(ids) if crc32(one) * _SPREAD % _SPAN < below]
    offsets = sample.offsets
    spans = [np.arange(offsets[one], offsets[one + 1]) for one in chosen]
    rows = np.concatenate([*spans, np.empty(0, np.int64)]).astype(np.int64)
    return replace(
        sample,
        request_ids=[ids[one] for one in chosen],
        offsets=np.cumsum([0, *map(len, spans)]).tolist(),
        statuses=[sample.statuses[one] for one in chosen],
        latencies=[sample.latencies[one] for one in chosen],
        times=[sample.times[one] for one in chosen],
        inputs=[None if array is None else array[rows] for array in sample.inputs],
        outputs=[None if array is None else array[rows] for array in sample.outputs],
    )
