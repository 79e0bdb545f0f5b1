"""One loaded version of a model, as the inference path uses it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.server.loading.memory_estimate import LoadMemory

from .segment_reader import HeaderSegment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.batching.cost import CostTable
    from penstock.batching.scheduled_model import ScheduledModel
    from penstock.monitoring.metrics.model_counters import ModelCounters
    from penstock.monitoring.samples.privacy import Privacy
    from penstock.monitoring.samples.run_sample import Origin
    from penstock.runtimes.contract import Model, Signature
    from penstock.server.codecs.signature import WireSignature

    from .input_validation import Quality
    from .segment_reader import SegmentReader


class Servable:
    """A model version that answers requests ("servable" as in TensorFlow Serving).

    Attributes:
        name: Name of the model.
        version: Number of the version, as text.
        platform: Name of the runtime.
        model: The loaded model.
        wire: Its signature, prepared for the codecs.
        counters: Its metrics.
        scheduled: The version in the scheduler.
        headers: Response header lines common to all its answers.
        routed: Number of requests of a split that it has not finished yet.
        origin: Names its samples.
        memory: The memory that its load took.
        measured: Its run times when it was loaded, if they could be measured.
        validation: Checks each request before it runs, if a rule rejects or replaces values.
        tally: Counts faults of each batch after it ran, if the rules only count.
        segments: Read the segments of a request, by name of the field.
        header_segments: Those of them that read headers, which no sample has otherwise.
        digest: Digest of its files; empty if it is not known.
        steps: The versions that run the steps of a pipeline; empty for a version with a model.
        pipelines: The loaded pipelines one of whose steps this version runs.
    """

    __slots__ = (
        "_coded",
        "_coding",
        "counters",
        "digest",
        "header_segments",
        "headers",
        "measured",
        "memory",
        "model",
        "name",
        "origin",
        "pipelines",
        "platform",
        "routed",
        "scheduled",
        "segments",
        "steps",
        "tally",
        "validation",
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
        origin: Origin,
    ) -> None:
        self.name = name
        self.version = version
        self.platform = platform
        self.model = model
        self.wire = wire
        self.counters = counters
        self.routed = 0
        self.memory = LoadMemory()
        self.measured: CostTable | None = None
        self.validation: Quality | None = None
        self.tally: Quality | None = None
        self.segments: dict[str, SegmentReader] = {}
        self.header_segments: tuple[HeaderSegment, ...] = ()
        self.digest = ""
        self.steps: tuple[Servable, ...] = ()
        self.pipelines: set[Servable] = set()
        self._coding = 0
        self._coded = asyncio.Event()
        self.scheduled: ScheduledModel
        self.origin = origin
        self.headers = b"x-model-version: %b\r\n" % version.encode()

    @property
    def signature(self) -> Signature:
        """The signature, with all names of columns and classes that are known."""
        return self.wire.signature

    def keep_private(self, privacy: Privacy | None) -> None:
        """Set which inputs must not leave this process as they are, from now on."""
        if privacy != self.origin.privacy:
            self.origin = replace(self.origin, privacy=privacy)

    def divide_by(self, readers: Sequence[SegmentReader]) -> None:
        """Set by which fields its requests are divided into segments, from now on."""
        self.segments = {one.field.name: one for one in readers}
        self.header_segments = tuple(one for one in readers if isinstance(one, HeaderSegment))
        fields = tuple(one.field for one in readers)
        if fields != self.origin.segment_fields:
            self.origin = replace(self.origin, segment_fields=fields)

    def name_clients_by(self, header: bytes | None) -> None:
        """Set which header names the client of a request, from now on; see `Origin`."""
        if header != self.origin.client_header:
            self.origin = replace(self.origin, client_header=header)

    def begin_coding(self) -> None:
        """Count a body that a thread decodes or encodes; its request is not in the queue."""
        self._coding += 1

    def end_coding(self) -> None:
        """Count the end of such a decoding or encoding."""
        self._coding -= 1
        if not self._coding:
            self._coded.set()

    async def wait_coded(self) -> None:
        """Wait until no body is being decoded or encoded for it."""
        while self._coding:
            self._coded.clear()
            await self._coded.wait()
