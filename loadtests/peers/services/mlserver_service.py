# ruff: noqa: INP001  a script for the peer's own environment, not part of the package
# mypy: ignore-errors
"""MLServer with a custom runtime, in process (``parallel_workers`` 0), logs and metrics off."""

import numpy as np
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput
from onnx_model import OnnxModel

DATATYPES = {"float32": "FP32", "int64": "INT64"}


class OnnxRuntime(MLModel):
    """Open Inference Protocol v2 over one onnxruntime session."""

    async def load(self) -> bool:
        """Open the session."""
        self.model = OnnxModel()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Run the model."""
        tensor = payload.inputs[0]
        rows = np.asarray(tensor.data.root, np.float32).reshape(tensor.shape)
        outputs = [
            ResponseOutput(
                name=name,
                shape=list(result.shape),
                datatype=DATATYPES[result.dtype.name],
                data=result.ravel().tolist(),
            )
            for name, result in zip(self.model.outputs, self.model.run(rows), strict=True)
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
