"""One loaded version of a model, and all that a prediction needs to know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.batching.servable import Servable as Queue
    from penstock.monitoring.metrics import ModelCounters
    from penstock.runtimes.contract import Model
    from penstock.server.http.codecs.signature import WireSignature


class Servable:
    """A model version that answers requests ("servable" as in TensorFlow Serving).

    Attributes:
        name: Of the model.
        version: Its number, as text.
        platform: The runtime's name.
        model: The loaded model.
        wire: Its signature, prepared for the codecs.
        counters: Its metrics.
        decoding: Requests whose bodies are decoded for it elsewhere, and not queued yet.
        queue: Its place in the scheduler.
        headers: Response header lines common to all its answers.
    """

    __slots__ = (
        "counters",
        "decoding",
        "headers",
        "model",
        "name",
        "platform",
        "queue",
        "version",
        "wire",
    )

    def __init__(
        self,
        name: str,
        version: str,
        platform: str,
        model: Model,
        wire: WireSignature,
        counters: ModelCounters,
    ) -> None:
        self.name = name
        self.version = version
        self.platform = platform
        self.model = model
        self.wire = wire
        self.counters = counters
        self.decoding = 0
        self.queue: Queue
        self.headers = b"x-model-version: %b\r\n" % version.encode()
