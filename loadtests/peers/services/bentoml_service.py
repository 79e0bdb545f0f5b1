# ruff: noqa: INP001  a script for the peer's own environment, not part of the package
# mypy: ignore-errors
"""BentoML: one worker, access log, metrics and tracing off."""

import bentoml
from onnx_model import OnnxModel


@bentoml.service(
    workers=1,
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
    traffic={"timeout": 30},
)
class Service:
    """Rows as JSON."""

    def __init__(self) -> None:
        self.model = OnnxModel()

    @bentoml.api
    async def predict(self, features: list[list[float]]) -> dict[str, list]:
        """Run the model on the event loop."""
        return self.model.answer(features)
