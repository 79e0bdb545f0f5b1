# ruff: noqa: INP001  a script for the peer's own environment, not part of the package
# mypy: ignore-errors
"""PyTriton: Triton's C++ front end, the model in this process; batches without waiting."""

import os

import numpy as np
from onnx_model import OnnxModel
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
model = OnnxModel()


@batch
def infer(**inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Run the model; Triton has stacked the rows."""
    results = model.run(next(iter(inputs.values())))
    return {
        name: result.reshape(len(result), -1)
        for name, result in zip(model.outputs, results, strict=True)
    }


def tensor(value: object) -> Tensor:
    """A tensor without its batch axis; PyTriton wants at least one other."""
    shape = tuple(value.shape[1:]) or (1,)
    return Tensor(name=value.name, dtype=TYPES[value.type], shape=shape)


if __name__ == "__main__":
    port = int(os.environ["PORT"])
    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=port,
        grpc_port=int(os.environ["GRPC_PORT"]),
        metrics_port=int(os.environ["METRICS_PORT"]),
        allow_metrics=False,
        log_verbose=0,
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name=os.environ["MODEL_NAME"],
            infer_func=infer,
            inputs=[tensor(one) for one in model.session.get_inputs()],
            outputs=[tensor(one) for one in model.session.get_outputs()],
            config=ModelConfig(
                max_batch_size=64, batcher=DynamicBatcher(max_queue_delay_microseconds=0)
            ),
            strict=False,
        )
        triton.serve()
