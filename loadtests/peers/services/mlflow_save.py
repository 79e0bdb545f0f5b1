# ruff: noqa: INP001  a script for the peer's own environment, not part of the package
# mypy: ignore-errors
"""Save the model in MLflow's format, for ``mlflow models serve``."""

import os
import sys

import mlflow.onnx
import onnx

if __name__ == "__main__":
    mlflow.onnx.save_model(
        onnx.load(os.environ["MODEL_PATH"]),
        sys.argv[1],
        onnx_session_options={
            "intra_op_num_threads": 1,
            "inter_op_num_threads": 1,
            "extra_session_config": {"session.intra_op.allow_spinning": "0"},
        },
        pip_requirements=[],
    )
