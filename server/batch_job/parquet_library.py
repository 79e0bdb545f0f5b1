"""pyarrow, which an extra brings, with the settings of a process that others must not notice."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from penstock.monitoring.distribution import install_command

from .job_failed import JobFailed


def parquet() -> tuple[Any, Any]:
    """``pyarrow`` and ``pyarrow.parquet``.

    Raises:
        JobFailed: They are not installed.
    """
    return _imported("pyarrow.parquet")


def arrow_csv() -> tuple[Any, Any]:
    """``pyarrow`` and ``pyarrow.csv``.

    Raises:
        JobFailed: They are not installed.
    """
    return _imported("pyarrow.csv")


def _imported(name: str) -> tuple[Any, Any]:
    try:
        pa = import_module("pyarrow")  # an extra, and large
        part = import_module(name)
    except ImportError:
        raise JobFailed(
            f"Parquet takes pyarrow, which is not installed; run: {install_command('batch')}"
        ) from None
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    return pa, part
