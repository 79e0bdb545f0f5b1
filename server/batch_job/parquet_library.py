"""pyarrow, which an extra brings, with the settings of a process that others must not notice."""

from __future__ import annotations

from typing import Any

from penstock.monitoring.distribution import install_command

from .job_failed import JobFailed


def parquet() -> tuple[Any, Any]:
    """``pyarrow`` and ``pyarrow.parquet``.

    Raises:
        JobFailed: They are not installed.
    """
    try:
        import pyarrow as pa  # an extra, and large
        import pyarrow.parquet as pq
    except ImportError:
        raise JobFailed(
            f"Parquet takes pyarrow, which is not installed; run: {install_command('batch')}"
        ) from None
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    return pa, pq
