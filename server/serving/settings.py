"""Settings of traces and of the log in the words of Triton's extensions; they are read only.

Source: "Trace Extension" and "Logging Extension" of the documentation of the Triton Inference
Server.
"""

from __future__ import annotations

from typing import Any, Final

_LEVELS: Final = ("debug", "info", "warning", "error")


def trace_settings() -> dict[str, Any]:
    """Traces are off: values are texts, and the level is a list of them."""
    return {
        "trace_file": "",
        "trace_level": ["OFF"],
        "trace_rate": "1000",
        "trace_count": "-1",
        "log_frequency": "0",
    }


def log_settings(level: str) -> dict[str, Any]:
    """What is logged.

    Args:
        level: Least severe messages in the log; an option of the server.
    """
    least = _LEVELS.index(level)
    return {
        "log_file": "",
        "log_info": least <= _LEVELS.index("info"),
        "log_warning": least <= _LEVELS.index("warning"),
        "log_error": True,
        "log_verbose_level": 1 if level == "debug" else 0,
        "log_format": "default",
    }
