"""Traffic in the background: customers are predicted, and soon somebody tells what they did."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import numpy as np

if TYPE_CHECKING:
    from world import Season

#: Requests between two pauses, and the pause in seconds.
BURST = 8
PAUSE = 0.015
LABELS = 200


class Traffic:
    """One client that goes on until it is stopped.

    Args:
        url: Of the prediction port.
        model: Name of the model.
        season: How customers are; may be replaced at any time.
        seed: Of its chance.

    Attributes:
        season: How customers are now.
        answered: Version -> requests that it has answered.
        last_of: Version -> id of the last request that it has answered.
        problem: What went wrong, if something did.
    """

    def __init__(self, url: str, model: str, season: Season, seed: int) -> None:
        self.season = season
        self.answered: Counter[int] = Counter()
        self.last_of: dict[int, str] = {}
        self.problem = ""
        self._model = model
        self._chance = np.random.default_rng(seed)
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
        self._labels: deque[dict[str, Any]] = deque()
        self._recent: deque[bool] = deque(maxlen=300)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    @property
    def accuracy(self) -> float:
        """Share of right answers of the last requests."""
        return sum(self._recent) / max(1, len(self._recent))

    @property
    def judged(self) -> int:
        """Requests that the accuracy is of."""
        return len(self._recent)

    def forget(self) -> None:
        """Begin to count right answers anew."""
        self._recent.clear()

    def _run(self) -> None:
        number = 0
        try:
            while not self._stop.is_set():
                rows, left, said = self.season.customers(BURST, self._chance)
                for row, truth, told in zip(rows, left, said, strict=True):
                    number += 1
                    self._ask(f"r{id(self):x}-{number}", row.tolist(), int(truth), int(told))
                if len(self._labels) >= LABELS:
                    self._tell()
                time.sleep(PAUSE)
        except Exception as error:  # noqa: BLE001  the main thread tells
            self.problem = f"{type(error).__name__}: {error}"

    def _ask(self, name: str, row: list[float], truth: int, told: int) -> None:
        tensor = {"name": "features", "datatype": "FP32", "shape": [1, len(row)], "data": row}
        # A customer stays with one version while both are tried.
        headers = {"x-request-id": name, "x-customer": name}
        answer = self._post(f"/v2/models/{self._model}/infer", {"inputs": [tensor]}, headers)
        version = int(answer["model_version"])
        self.answered[version] += 1
        self.last_of[version] = name
        label = next(one for one in answer["outputs"] if one["name"] == "label")["data"][0]
        self._recent.append(label == truth)
        self._labels.append({"request_id": name, "label": told})

    def _tell(self) -> None:
        labels = [self._labels.popleft() for _ in range(LABELS)]
        self._post("/v1/feedback", labels, {})

    def _post(self, path: str, body: Any, headers: dict[str, str]) -> Any:
        told = {"content-type": "application/json", **headers}
        self._connection.request("POST", path, json.dumps(body), told)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise OSError(f"{path} answered {answer.status}: {content[:200].decode()}")
        return json.loads(content)
