"""A prediction over msgpack: python msgpack_client.py http://127.0.0.1:8000 breast-cancer."""

import sys

import httpx
import msgpack
import numpy as np

url, model = sys.argv[1:]
row = np.full((1, 30), 0.5, np.float32)
tensor = {"name": "features", "datatype": "FP32", "shape": row.shape, "data": row.tobytes()}
answer = httpx.post(
    f"{url}/v2/models/{model}/infer",
    content=msgpack.packb({"inputs": [tensor]}),
    headers={"content-type": "application/msgpack"},
).raise_for_status()
label, probabilities = msgpack.unpackb(answer.content)["outputs"]
print("label", np.frombuffer(label["data"], np.int64))
print("probabilities", np.frombuffer(probabilities["data"], np.float32))
