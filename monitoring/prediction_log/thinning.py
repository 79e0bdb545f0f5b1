"""Fewer requests of a sample, chosen by their ids, so that what belongs together stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

if TYPE_CHECKING:
    from penstock.monitoring.samples.samples import BatchSample

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
    return sample.only(chosen)
