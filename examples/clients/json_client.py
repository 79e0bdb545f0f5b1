"""A prediction over JSON: python json_client.py http://127.0.0.1:8000 breast-cancer."""

import sys

import httpx

url, model = sys.argv[1:]
with httpx.Client(base_url=url, timeout=30) as client:
    (features,) = client.get(f"/v2/models/{model}").json()["inputs"]
    row = [0.5] * features["shape"][1]
    tensor = {"name": features["name"], "datatype": "FP32", "shape": [1, len(row)], "data": row}
    answer = client.post(f"/v2/models/{model}/infer", json={"inputs": [tensor]}).raise_for_status()
    for output in answer.json()["outputs"]:
        print(output["name"], output["data"])
