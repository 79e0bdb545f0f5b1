"""The error that ends a batch job; its work so far is kept."""

from __future__ import annotations


class JobFailed(Exception):
    """A batch job cannot go on; one line says why, and what to do."""


class NotNow(JobFailed):
    """The server, not the job, is at fault: the same job may go on later."""
