# ruff: noqa: INP001  a script for the peer's own environment, not part of the package
# mypy: ignore-errors
"""FastAPI with pydantic models, as its documentation teaches, on uvicorn with uvloop and httptools.

``async def`` runs the model on the event loop: for a model this small that beats the thread pool.
"""

import os

import uvicorn
from fastapi import FastAPI
from onnx_model import OnnxModel
from pydantic import BaseModel

app = FastAPI()
model = OnnxModel()


class Rows(BaseModel):
    """What is asked."""

    features: list[list[float]]


class Answer(BaseModel):
    """What is answered; a model without labels leaves them empty."""

    label: list[int] = []
    probabilities: list[list[float]]


@app.post("/predict")
async def predict(rows: Rows) -> Answer:
    """Run the model."""
    return Answer(**model.answer(rows.features))


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
