"""Keeps libraries from reporting to their makers. The only place that imports onnxruntime.

From version 1.29 on, onnxruntime writes a device id into the user's cache directory when it is
imported, and after about half a minute it sends facts about the process and its models to a host
of its maker. ``disable_telemetry_events()`` comes too late for the device id. An environment
variable switches all of it off, if it is set before the first import in a process: onnxruntime
reads it once.

The package ``openvino_telemetry`` looks up a host of its maker and writes into the user's home when
``openvino`` is imported. OpenVINO does without the package where it is not installed.

MLflow's client reports how it is used, unless the variable of its documentation says otherwise.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any, Final

_VARIABLE: Final = "ORT_DISABLE_TELEMETRY"
_OFF: Final = "1"
_MLFLOW_VARIABLE: Final = "MLFLOW_DISABLE_TELEMETRY"
_REPORTER: Final = "openvino_telemetry"

_logger = logging.getLogger(__name__)


def switch_off() -> None:
    """Switch the telemetry off, in this process and in those that it starts from now on.

    Every command calls this first, so that a plug-in that imports onnxruntime by itself is silent,
    too.
    """
    os.environ[_VARIABLE] = _OFF
    os.environ[_MLFLOW_VARIABLE] = "true"
    modules: dict[str, Any] = sys.modules
    modules.setdefault(_REPORTER, None)  # an import fails as if it were not installed


def import_onnxruntime() -> Any:
    """The module ``onnxruntime``, silent."""
    too_late = "onnxruntime" in sys.modules and os.environ.get(_VARIABLE) != _OFF
    switch_off()
    import onnxruntime  # tens of MB, which most processes do without

    onnxruntime.disable_telemetry_events()
    if too_late:
        _logger.warning(
            "onnxruntime was imported before Penstock and may report to its maker; set %s=%s in "
            "the environment, or call penstock.server.create_app before that import",
            _VARIABLE,
            _OFF,
        )
    return onnxruntime
