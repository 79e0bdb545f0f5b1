"""Asks a server with KServe's own client: the URL and the model are given; prints JSON."""

import asyncio
import json
import sys

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

ROW = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 64)


async def by_v1(url, model):
    client = InferenceRESTClient(RESTConfig(protocol="v1", timeout=60))
    answer = await client.infer(url, {"instances": ROW.tolist()}, model_name=model)
    try:
        await client.explain(url, model, {"instances": ROW.tolist()})
    except Exception as error:
        refused = str(error)
    return {
        "live": await client.is_server_live(url),
        "ready": await client.is_model_ready(url, model),
        "label": answer["predictions"][0]["label"],
        "explain": refused,
    }


async def by_v2(url, model, *, binary):
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))
    tensor = InferInput("features", list(ROW.shape), "FP32")
    tensor.set_data_from_numpy(ROW, binary_data=binary)
    request = InferRequest(model_name=model, infer_inputs=[tensor])
    answer = await client.infer(url, request, model_name=model)
    outputs = {one.name: one.as_numpy() for one in answer.outputs}
    return {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url) and await client.is_model_ready(url, model),
        "label": int(outputs["label"][0]),
    }


async def main(url, model):
    found = {
        "v1": await by_v1(url, model),
        "v2": await by_v2(url, model, binary=False),
        "v2 binary": await by_v2(url, model, binary=True),
    }
    print(json.dumps(found))


asyncio.run(main(*sys.argv[1:]))
