"""Clients that ask a live server for the predictions of rows, one or many at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

CLIENTS, ROWS_OF_A_REQUEST = 64, 10


def predict(client: Any, name: str, instances: Sequence[Any]) -> list[dict[str, Any]]:
    """The predictions of rows in one request on a connection; NaN is sent as null."""
    body = orjson.dumps({"instances": instances})
    head = f"POST /v1/models/{name}:predict HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}"
    answer = client.send(head.encode() + b"\r\n\r\n" + body).answer()
    assert answer.status == 200, answer
    predictions: list[dict[str, Any]] = orjson.loads(answer.body)["predictions"]
    return predictions


def predict_at_once(server: Any, name: str, instances: Sequence[Any]) -> list[dict[str, Any]]:
    """The predictions in the order of the rows, which many clients share among themselves."""
    starts = range(0, len(instances), ROWS_OF_A_REQUEST)

    def ask(number: int) -> list[list[dict[str, Any]]]:
        with server.connect() as client:
            return [
                predict(client, name, instances[at : at + ROWS_OF_A_REQUEST])
                for at in starts[number::CLIENTS]
            ]

    answers: list[Any] = [None] * len(starts)
    with ThreadPoolExecutor(CLIENTS) as pool:
        for number, found in enumerate(pool.map(ask, range(CLIENTS))):
            answers[number::CLIENTS] = found
    return list(chain.from_iterable(answers))


def values_of(output: str, predictions: Sequence[dict[str, Any]]) -> Any:
    """One output of all rows as a library gives it."""
    values = [one[output] for one in predictions]
    return np.array([[*one.values()] if isinstance(one, dict) else one for one in values])
