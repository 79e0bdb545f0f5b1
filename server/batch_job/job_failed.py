"""The error that ends a batch job; its work so far is kept."""

from __future__ import annotations


class JobFailed(Exception):
    """A batch job cannot go on; one line says why, and what to do."""
