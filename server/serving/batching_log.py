"""Logs how a loaded version is batched."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .servable import Servable

LOG = logging.getLogger("penstock.models")


def log_batching(servable: Servable) -> None:
    """Say once how the version is batched and why, and what its file declares wrongly."""
    signature, what = servable.model.signature, (servable.name, servable.version)
    level = logging.INFO if signature.batch_axis else logging.WARNING
    reason = signature.batching or "its runtime says so"
    on = "on" if signature.batch_axis else "off"
    LOG.log(level, "model %s version %s: batching is %s: %s", *what, on, reason)
    if not signature.rows_axis:
        LOG.info("model %s version %s: a request counts as one row", *what)
    for remark in signature.remarks:
        LOG.warning("model %s version %s: %s", *what, remark)
