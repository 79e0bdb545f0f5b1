"""Calls a model and an admin command with the clients that were generated for both ports.

Given: both URLs, and a token; prints JSON.
"""

import json
import sys

from penstock_admin_client import AuthenticatedClient
from penstock_admin_client.api.default import promote, status
from penstock_admin_client.models import Outcome, PromoteBody, Status
from penstock_client import Client
from penstock_client.api.digits import infer_digits
from penstock_client.models import (
    InferDigitsBody,
    InferDigitsBodyFeatures,
    InferDigitsResponse200,
)

url, admin_url, token = sys.argv[1:]
tensor = InferDigitsBodyFeatures(
    name="features", datatype="FP32", shape=[1, 64], data=[at / 63 for at in range(64)]
)
answer = infer_digits.sync(client=Client(url), body=InferDigitsBody(inputs=[tensor]))
assert type(answer) is InferDigitsResponse200, answer
admin = AuthenticatedClient(admin_url, token)
done = promote.sync("digits", "1", client=admin, body=PromoteBody(reason="a typed client"))
assert type(done) is Outcome, done
now = status.sync(client=admin)
assert type(now) is Status, now
found = {
    "version": answer.model_version,
    "stable": done.aliases["stable"],
    "names": [model.name for model in now.models],
}
print(json.dumps(found))
