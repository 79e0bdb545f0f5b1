"""Options in the environment: ``PENSTOCK_*``, and variables of platforms that run containers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.files.wording import did_you_mean
from penstock.server.files.config_error import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .option import Option

#: For the command line as a client; a server may stand beside it in the same environment.
CLIENT_VARIABLES: Final = ("PENSTOCK_ADMIN_URL", "PENSTOCK_TOKEN")
_NOT_OPTIONS: Final = ("PENSTOCK_CONFIG", *CLIENT_VARIABLES)
OTLP_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
#: What platforms say, with the option that it means; earlier ones win.
_PLATFORMS: Final = {
    "AIP_HTTP_PORT": "port",  # Vertex AI
    "AIP_PREDICT_ROUTE": "predict_route",
    "AIP_HEALTH_ROUTE": "health_route",
    "SAGEMAKER_BIND_TO_PORT": "port",
    OTLP_ENDPOINT: "otlp_endpoint",  # OpenTelemetry
    "OTEL_SERVICE_NAME": "service_name",
    "PORT": "port",  # Cloud Run, Heroku and others
}
#: Where SageMaker unpacks the model before it runs ``serve`` in the container, and what it expects.
MOUNTED_MODEL: Final = Path("/opt/ml/model")
_MOUNTED: Final = {"host": "0.0.0.0", "port": 8080}  # noqa: S104  the container's network is its border
#: What Kubernetes injects into every container beside a Service called "penstock".
_SERVICE_LINK: Final = re.compile(r"PENSTOCK_(SERVICE_(HOST|PORT\w*)|PORT_\d+_\w+)")


def read_environment(environ: Mapping[str, str], options: Iterable[Option]) -> dict[str, Any]:
    """The values of options by name, as texts.

    Args:
        environ: The environment.
        options: All options.

    Raises:
        ConfigError: There is a variable of Penstock that is no option.
    """
    by_variable = {one.variable: one for one in options}
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith("PENSTOCK_") or variable in _NOT_OPTIONS:
            continue
        if variable == "PENSTOCK_PORT" and text.startswith("tcp://"):
            continue  # a Kubernetes service link, too
        if variable in by_variable:
            values[by_variable[variable].name] = text
        elif not _SERVICE_LINK.fullmatch(variable):
            hint = did_you_mean(variable, list(by_variable))
            raise ConfigError(f"environment: unknown variable {variable}{hint}")
    for variable, name in _PLATFORMS.items():
        if name not in values and environ.get(variable):
            values[name] = environ[variable]
    return values


def mounted_model(directory: Path) -> dict[str, Any]:
    """The options of a server that is told of no registry: it serves what is mounted here.

    Raises:
        ConfigError: Nothing is.
    """
    if not directory.is_dir():
        raise ConfigError("no registry was given, expected: penstock serve REGISTRY")
    return {"registry": str(directory), **_MOUNTED}
