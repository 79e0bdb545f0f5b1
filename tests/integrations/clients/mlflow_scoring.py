"""Asks a server with MLflow's own scoring client: the port is given; prints JSON."""

import json
import sys

import numpy as np
import pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

ROWS = pd.DataFrame([np.linspace(0, 1, 64)], columns=[f"pixel {number}" for number in range(64)])

client = ScoringServerClient("127.0.0.1", int(sys.argv[1]))
client.wait_server_ready(timeout=60)
answer = client.invoke(ROWS)
try:
    client.invoke(ROWS.iloc[:, :3])
except Exception as error:
    refused = str(error)
found = {
    "version": client.get_version(),
    "label": int(answer.get_predictions()["label"][0]),
    "refused": refused,
}
print(json.dumps(found))
