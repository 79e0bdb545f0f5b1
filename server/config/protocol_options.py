"""Options for clients that speak other servers' protocols, and for web pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from penstock.server.files.config_error import ConfigError

from .option import option
from .origins import read_origins
from .prefix import is_prefix

#: What `predict_route` and `health_route` stand for.
PREDICT: Final = "/invocations"
HEALTH: Final = "/v2/health/ready"
_PLAIN: Final = re.compile(r":[a-z]+\Z", re.ASCII)


@dataclass(frozen=True)
class ProtocolOptions:
    """The part of `penstock.server.config.config.ServerConfig` that only some clients need."""

    default_model: str = option(
        "",
        "The model of paths that name none, such as /invocations; by default the only one.",
    )
    predict_route: str = option("", "One more path of predictions by the default model.")
    health_route: str = option("", "One more path of /v2/health/ready.")
    cors_origins: str = option(
        "",
        "Origins of web pages that may ask for predictions, such as "
        "https://app.example.com, separated by commas; * for all.",
    )

    metrics_compat: Literal["none", "triton"] = option(
        "none", "triton adds the metrics of the Triton Inference Server, nv_inference_*."
    )

    def origins(self) -> tuple[str, ...]:
        """`cors_origins`, one by one; see `read_origins`."""
        return read_origins(self.cors_origins)

    def routes(self) -> dict[str, str]:
        """Further paths, each with the path of this server that it stands for.

        Raises:
            ConfigError: One of them is no path.
        """
        routes = {}
        for name, own in (("predict_route", PREDICT), ("health_route", HEALTH)):
            route = getattr(self, name)
            if not route:
                continue
            path = _PLAIN.sub("", route)  # Vertex AI's own end in a verb, as in /models/5:predict
            if not is_prefix(path) or path in {"", "/"} or path.endswith("/"):
                raise ConfigError(f"{name} is {route!r}, expected a path such as /predict")
            routes[route] = own
        return routes
