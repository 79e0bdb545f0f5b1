# ruff: noqa: INP001  a script for the peer's own environment, not part of the package
# mypy: ignore-errors
"""Ray Serve: one replica, its throughput mode, access log off."""

import os
import time

import ray
from onnx_model import OnnxModel
from ray import serve
from starlette.requests import Request


@serve.deployment(max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0})
class Service:
    """Rows as JSON."""

    def __init__(self) -> None:
        self.model = OnnxModel()

    async def __call__(self, request: Request) -> dict[str, list]:
        """Run the model on the replica's event loop."""
        return self.model.answer((await request.json())["features"])


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])},
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )
    serve.run(Service.bind(), route_prefix="/predict")
    while True:
        time.sleep(3600)
