"""Logs and registers ONNX files as versions of a model: ``register.py URI MODEL FILE…``."""

from __future__ import annotations

import sys

import mlflow
import numpy as np
import onnx


def main() -> None:
    """Each file is a run of its own, with what a run has."""
    uri, model, *files = sys.argv[1:]
    mlflow.set_tracking_uri(uri)
    example = np.full((1, 30), 0.5, np.float32)
    for number, file in enumerate(files, 1):
        with mlflow.start_run():
            mlflow.log_param("learning_rate", 0.1 * number)
            mlflow.log_metric("auc", 0.9)
            mlflow.set_tag("mlflow.source.git.commit", "3f2c1aa")
            mlflow.onnx.log_model(
                onnx.load(file), name="model", registered_model_name=model, input_example=example
            )


if __name__ == "__main__":
    main()
