"""Asks a server with KServe's own gRPC client: the address and the model are given; prints JSON."""

import asyncio
import json
import sys

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest

ROWS = np.linspace(0, 1, 128, dtype=np.float32).reshape(2, 64)


def asked(model, *, raw):
    """A request with its tensor as raw contents, or as a typed list."""
    tensor = InferInput("features", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS, binary_data=raw)
    return InferRequest(model_name=model, infer_inputs=[tensor], request_id="mine")


async def main(address, model):
    async with InferenceGRPCClient(address, retries=2) as client:
        found = {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "model ready": await client.is_model_ready(model),
            "nobody ready": await client.is_model_ready("nobody"),
        }
        for name, raw in (("raw", True), ("typed", False)):
            answer = await client.infer(asked(model, raw=raw))
            outputs = {one.name: one.as_numpy() for one in answer.outputs}
            found[name] = {
                "id": answer.id,
                "version": answer.model_version,
                "labels": outputs["label"].tolist(),
                "shape": list(outputs["probabilities"].shape),
            }
        try:
            await client.infer(asked("nobody", raw=True))
        except grpc.RpcError as error:
            found["refused"] = [error.code().name, error.details()]
    print(json.dumps(found))


asyncio.run(main(*sys.argv[1:]))
